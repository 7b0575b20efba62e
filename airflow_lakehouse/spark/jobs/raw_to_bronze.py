"""Raw to bronze: every new file version of a drop, record by record, into bronze or into quarantine.

Discover, look up the ledger, write down what is about to be loaded, cut and type the records, MERGE them table by
table, count, and write down that it is done; then take PDFs out of what was loaded. Each step may be killed; the next
run goes on from there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_lakehouse.parsing import load_registry
from airflow_lakehouse.spark.bronze import batch, discovery
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.documents import attachments, reread
from airflow_lakehouse.spark.engine.job_session import job_session
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.iceberg import conflicts
from airflow_lakehouse.spark.jobs.model import UNCHANGED, JobArguments, JobResult
from airflow_lakehouse.spark.storage.catalog import find_catalog, load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

if TYPE_CHECKING:
    from airflow_lakehouse.parsing import Registry
    from airflow_lakehouse.spark.bronze.ledger_rows import Entry

NAME = "raw_to_bronze"


def run(arguments: JobArguments) -> JobResult:
    """Load what is new in the profile's drop.

    :param arguments: the profile and which part of the drop.
    :raises LakehouseError: when the drop or the warehouse cannot be used, or the counts do not add up.
    """
    started = time.monotonic()
    profile = arguments.profile
    registry = load_registry(profile.parsers)
    # Before the drop is listed: of what is loaded later, a listing does not tell which came first.
    before = Ledger(find_catalog(profile))
    found = discovery.discover(profile, registry, arguments.scope)
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    ensure_tables(catalog, registry.tables.values())
    found += attachments.documents(catalog, profile, registry)
    plan = Ledger(catalog).plan(found, NAME)
    ready, waiting = _split_ready(plan.pending, registry)
    ready, back = _claim(Ledger(catalog), ready, plan.replaced, arguments.run_id, before)
    again = reread.find(catalog, registry, arguments)
    ready += again.entries
    done = [entry for entry in plan.done if (entry.file.uri, entry.file.etag) not in again.keys]
    result = JobResult(arguments.run_id, files=_file_counts(found, ready, done, waiting=waiting, returned=back))
    if not ready:
        result.records = {"read": 0, "bronze": 0, "quarantine": 0}
    if ready or attachments.is_due(catalog):
        with job_session(profile) as spark:
            if ready:
                first = batch.Resumed() if any(entry.resumed for entry in ready) else batch.FirstLoad()
                mode = reread.Replaced() if again.entries else first
                work = batch.Batch(spark, catalog, ready, arguments.staging_area, mode)
                batch.load_batch(work, registry, arguments, result, NAME)
                again.settle()
            result.attachments = conflicts.retried(lambda: attachments.extract(spark, catalog, arguments), NAME)
    elif not back:
        result.status = UNCHANGED
    result.seconds["bronze"] = round(time.monotonic() - started, 3)
    return result


def _split_ready(pending: list[Entry], registry: Registry) -> tuple[list[Entry], list[Entry]]:
    """Set aside documents that nothing has read yet; the OCR stage comes first."""
    ready: list[Entry] = []
    waiting: list[Entry] = []
    for entry in pending:
        parser = registry.parsers.get(entry.found.parser)
        is_ready = getattr(parser, "is_ready", None)
        (ready if is_ready is None or is_ready(entry.file) else waiting).append(entry)
    return ready, waiting


def _claim(
    ledger: Ledger, ready: list[Entry], replaced: list[Entry], run_id: str, before: Ledger
) -> tuple[list[Entry], list[Entry]]:
    """Write down what is about to be loaded, and what is back in its place; return both."""
    if not ready and not replaced:
        return [], []
    claimed = ledger.claim([*ready, *replaced], run_id, before)
    again = zip(claimed[len(ready) :], replaced, strict=True)
    return claimed[: len(ready)], [entry for entry, was in again if entry.returned_at != was.returned_at]


def _file_counts(
    found: list[discovery.Found], ready: list[Entry], done: list[Entry], **more: list[Entry]
) -> dict[str, int]:
    counts = {"found": len(found), "loaded": len(ready), "skipped": len(done), "quarantined": 0}
    return counts | {name: len(entries) for name, entries in more.items() if entries}
