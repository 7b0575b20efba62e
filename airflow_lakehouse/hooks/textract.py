"""Amazon Textract through Airflow's AWS connections."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse._compat import BaseHook
from airflow_lakehouse.ocr.textract import run
from airflow_lakehouse.ocr.textract.service import Service, client_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.ocr.textract.batch import Batch
    from airflow_lakehouse.ocr.textract.report import TextractReport
    from airflow_lakehouse.ocr.textract.saved import SavedBatch

_WAITERS: Final = Path(__file__).parent.parent / "waiters" / "textract.json"


class TextractHook(BaseHook):
    """Talk to Amazon Textract, and to what a batch needs besides: S3, SQS, Service Quotas.

    :param aws_conn_id: AWS connection; None or empty for the environment's credentials.
    :param region_name: Region, by default the connection's. Documents must be in the same.
    :param verify: see boto3.
    :param config: of the clients, see botocore; its retries are left to the batch.

    Waiters, for a job that somebody else has started: ``document_text_detection_complete`` and
    ``document_analysis_complete``.
    """

    def __init__(
        self,
        aws_conn_id: str | None = None,
        region_name: str | None = None,
        verify: bool | str | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.aws_conn_id = aws_conn_id or None
        self.region_name = region_name
        self.verify = verify
        self.config = config

    def make_client(self, service: str) -> Any:
        """Return a client of a service with the hook's credentials.

        :param service: its name in boto3.
        """
        # Imported when used: this pulls boto3 in, which a DAG parse must not pay for.
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
        from botocore.config import Config

        own = Config(**client_config(service))
        config = Config(**self.config).merge(own) if self.config else own
        hook: Any = AwsBaseHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            client_type=service,
            config=config,
        )
        return hook.get_conn()

    def get_conn(self) -> Any:
        """Return a client of Textract."""
        return self.make_client("textract")

    def get_waiter(self, name: str, client: Any = None) -> Any:
        """Return one of the waiters, as botocore makes them.

        :param name: of the waiter.
        :param client: of Textract; a new one by default.
        """
        from botocore.waiter import WaiterModel, create_waiter_with_client

        model = WaiterModel(json.loads(_WAITERS.read_bytes()))
        return create_waiter_with_client(name, model, client or self.get_conn())

    def service(self) -> Service:
        """Return the calls of a batch, with clients of this hook."""
        return Service(self.make_client)

    def open_batch(self, saved: SavedBatch, wake: Callable[[], object]) -> Batch:
        """Return a saved batch, ready to be driven.

        :param saved: the batch.
        :param wake: called from threads when there is something to take in.
        """
        documents, settings = saved.load()
        return run.open_batch(documents, saved.textract_dir, settings, make_client=saved.service.client, wake=wake)

    def run_batch(self, saved: SavedBatch, deadline: float | None) -> dict[str, Any]:
        """Run a saved batch to its end, and return its counts.

        :param saved: the batch.
        :param deadline: when to give up, in seconds since the epoch; None never does.
        :raises JobError: when it is over, or too many documents failed.
        """
        documents, settings = saved.load()
        started, counts = time.monotonic(), dict[str, Any]()
        try:
            run.read_batch(
                documents,
                textract_dir=saved.textract_dir,
                settings=settings,
                make_client=saved.service.client,
                deadline=deadline,
                on_report=lambda report: counts.update(finish(saved, report, started)),
            )
        finally:
            saved.service.close()
        return counts


def finish(saved: SavedBatch, report: TextractReport, started: float) -> dict[str, Any]:
    """Save the report of a batch, and return its counts.

    :param saved: the batch.
    :param report: what became of it.
    :param started: monotonic time at which it began.
    """
    report.seconds = time.monotonic() - started
    return {**report.counts(), "batch": saved.batch_id, "report": saved.report(report)}
