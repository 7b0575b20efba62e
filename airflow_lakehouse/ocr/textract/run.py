"""A batch from beginning to end: what a worker, a triggerer and ``lakehouse run --ocr textract`` do alike."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.exceptions import JobError
from airflow_lakehouse.ocr.store import DocumentToRead
from airflow_lakehouse.ocr.textract.batch import Batch
from airflow_lakehouse.ocr.textract.completion import Hints
from airflow_lakehouse.ocr.textract.cost import price_per_page
from airflow_lakehouse.ocr.textract.inspect import Inspector
from airflow_lakehouse.ocr.textract.objects import open_objects
from airflow_lakehouse.ocr.textract.pacing import Pace, Window, shared_rate
from airflow_lakehouse.ocr.textract.quotas import Quotas, read_quotas
from airflow_lakehouse.ocr.textract.report import TextractReport
from airflow_lakehouse.ocr.textract.service import Service, own_clients
from airflow_lakehouse.ocr.textract.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_lakehouse.ocr.textract.report import Outcome
    from airflow_lakehouse.ocr.textract.settings import Settings
    from airflow_lakehouse.parsing.model import SourceFile


def open_batch(  # noqa: PLR0913 - what to read, and whom to tell
    documents: Iterable[DocumentToRead | SourceFile],
    textract_dir: str,
    settings: Settings,
    *,
    make_client: Callable[[str], Any] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    wake: Callable[[], object] | None = None,
    inspector: Inspector | None = None,
) -> Batch:
    """Return a batch that is ready to be driven by :meth:`Batch.advance`.

    :param documents: which; files of a drop are taken as they are.
    :param textract_dir: root of the results.
    :param settings: what is asked, and how.
    :param make_client: returns a boto3 client of a service; by default with the environment's credentials.
    :param on_outcome: called with what became of each document.
    :param wake: called from threads when there is something to take in.
    :param inspector: looks at documents; closed with the batch.
    :raises ConfigurationError: when the results cannot be kept there.
    """
    options = settings.options
    service = Service(make_client or own_clients())
    # Made here and now: a thread of the batch may not ask Airflow for a connection.
    s3 = service.s3
    objects = open_objects(str(textract_dir), lambda: s3)
    api = settings.parameters.api
    quotas = _quotas(service, settings).under(options)
    pace = Pace(
        Window(quotas.in_flight),
        shared_rate(service.account, f"Start{api}", quotas.start_tps),
        shared_rate(service.account, f"Get{api}", quotas.get_tps),
    )
    queue, wake = options.queue_url, wake or (lambda: None)
    return Batch(
        [one if isinstance(one, DocumentToRead) else DocumentToRead.of(one) for one in documents],
        Work(service, objects, settings, inspector or Inspector(), pace.wait),
        pace,
        TextractReport(price=price_per_page(settings)),
        on_outcome=on_outcome,
        wake=wake,
        hints=Hints(service.client("sqs"), queue, wake) if queue and not options.dry_run else None,
    )


def _quotas(service: Service, settings: Settings) -> Quotas:
    options = settings.options
    is_told = None not in (options.max_in_flight, options.start_tps, options.get_tps)
    if is_told or options.dry_run or not options.use_quotas:
        return Quotas()
    return read_quotas(service.client("service-quotas"), settings.parameters.api)


def read_batch(  # noqa: PLR0913 - what to read, and whom to tell
    documents: Iterable[DocumentToRead | SourceFile],
    *,
    textract_dir: str,
    settings: Settings,
    make_client: Callable[[str], Any] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    deadline: float | None = None,
    inspector: Inspector | None = None,
    on_report: Callable[[TextractReport], None] | None = None,
) -> TextractReport:
    """Read documents with Textract, and store what it finds; wait for the end.

    A killed batch is resumed by the same call: jobs that were started are found, and results that were stored stay.

    :param documents: which; files of a drop are taken as they are.
    :param textract_dir: root of the results, a path or URI.
    :param settings: what is asked, and how.
    :param make_client: returns a boto3 client of a service; by default with the environment's credentials.
    :param on_outcome: called with what became of each document.
    :param deadline: when to give up, in seconds since the epoch; None never does.
    :param inspector: looks at documents; closed with the batch.
    :param on_report: called with what became of the batch, before it is refused for its failures.
    :raises ConfigurationError: when no document would fare better.
    :raises JobError: when the service does not answer, too many documents failed, or the time is up.
    """
    started, changed = time.monotonic(), threading.Event()
    batch = open_batch(
        documents,
        textract_dir,
        settings,
        make_client=make_client,
        on_outcome=on_outcome,
        wake=changed.set,
        inspector=inspector,
    )
    try:
        while (wait := batch.advance()) is not None:
            check_deadline(deadline)
            changed.wait(wait)
            changed.clear()
        batch.report.seconds = time.monotonic() - started
        if on_report:
            on_report(batch.report)
    finally:
        batch.close()
    check_failures(batch.report, settings)
    return batch.report


def check_deadline(deadline: float | None) -> None:
    """Refuse to go on after the deadline.

    :param deadline: seconds since the epoch, or None.
    :raises JobError: when it is over.
    """
    if deadline is not None and time.time() > deadline:
        raise JobError(
            "the batch took longer than it may", remedy="run it again: jobs that were started are found, not paid anew"
        )


def check_failures(report: TextractReport, settings: Settings) -> None:
    """Refuse a batch of which too many documents could not be read.

    :param report: what became of it.
    :param settings: with the share that may fail.
    :raises JobError: when more of them failed.
    """
    most = settings.options.max_failed_fraction
    if report.failed_fraction > most:
        reasons = ", ".join(f"{reason} {number}" for reason, number in report.counts()["rejected"].items())
        raise JobError(
            f"{report.failed_fraction:.1%} of {len(report.documents)} documents could not be read ({reasons})",
            legal=f"at most {most:.1%}, max_failed_fraction",
            remedy="what was read is stored; run it again for the rest",
        )
