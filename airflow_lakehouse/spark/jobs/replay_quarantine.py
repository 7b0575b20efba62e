"""Rejected records tried again: after a parser was mended or added, or a drop's other half has arrived.

The files that hold them are read anew, each under the batch and the time it was first loaded with. What loads now is
added to bronze, what loaded before is there already, and the file's rows in quarantine become what it rejects now.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_lakehouse.parsing import load_registry
from airflow_lakehouse.spark.bronze import batch, discovery
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.bronze.ledger_rows import DISCOVERED, Entry, file_of, loaded_entry
from airflow_lakehouse.spark.bronze.quarantine import live_rejects
from airflow_lakehouse.spark.engine.job_session import job_session
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.iceberg import conflicts, load
from airflow_lakehouse.spark.jobs.model import UNCHANGED, JobArguments, JobResult
from airflow_lakehouse.spark.silver import conform
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame

    from airflow_lakehouse.parsing import Registry
    from airflow_lakehouse.tables import Table

NAME = "replay_quarantine"


def run(arguments: JobArguments) -> JobResult:
    """Try again what was rejected.

    ``records`` of the result: ``tried`` rejects there were, ``bronze`` rows that were added, ``quarantine`` rejects
    that are left. ``files``: ``found`` with rejects, ``loaded`` anew, ``gone`` because they are not there any more in
    the version that was loaded: their rejects are kept as they are.

    :param arguments: the profile, and which rejects.
    :raises LakehouseError: when the warehouse cannot be used, or the counts do not add up.
    """
    started = time.monotonic()
    profile = arguments.profile
    registry = load_registry(profile.parsers)
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    ensure_tables(catalog, registry.tables.values())
    rejects = _with_rejects(catalog, arguments)
    here = [_claimed(entry, registry) for entry in rejects if discovery.is_unchanged(entry.file)]
    files = {"found": len(rejects), "loaded": len(here), "gone": len(rejects) - len(here)}
    result = JobResult(arguments.run_id, files=files)
    tried = sum(entry.quarantined or 0 for entry in here)
    if here:
        with job_session(profile) as spark:
            work = batch.Batch(spark, catalog, here, arguments.staging_area, _Replay())
            batch.load_batch(work, registry, arguments, result, NAME)
    added = sum(change["added"] for name, change in result.tables.items() if name != bronze.QUARANTINE.name)
    left = result.records.get("quarantine", 0)
    result.status = "complete" if added or left != tried else UNCHANGED
    result.records = {"tried": tried, "bronze": added, "quarantine": left}
    result.seconds["replay"] = round(time.monotonic() - started, 3)
    return result


def _with_rejects(catalog: Catalog, arguments: JobArguments) -> list[Entry]:
    """Return the file versions that hold rejects, as they were loaded."""
    scope = arguments.scope
    rejects = live_rejects(catalog, arguments.reason, bronze.FILE_KEY)
    wanted = {(row["source_uri"], row["source_etag"]) for row in rejects}
    entries = []
    for row in Ledger(catalog).rows():
        key = (row["source_uri"], row["source_etag"])
        if row["state"] == DISCOVERED or not row["quarantined"] or key not in wanted:
            continue
        if not scope.covers(row["dt"], row["source_system"]):
            continue
        file = file_of(row, arguments.profile.textract_uri)
        found = discovery.Found(file, row["parser"], row["parser_version"])
        entries.append(loaded_entry(row, found))
    return entries


def _claimed(entry: Entry, registry: Registry) -> Entry:
    """Return the entry with the parser that claims its file now; there may be one that was not there before."""
    return replace(entry, found=discovery.claim(entry.file, registry))


class _Replay:
    """Rows that are new are added; rejects become what the files reject now."""

    # They were counted when they first came, with the rest of their file.
    counts_unknown_fields = False

    def is_due(self, table: Table, rows: int) -> bool:
        """Tell whether there is a row; quarantine is due in any case, for what it no longer holds."""
        return rows > 0 or table is bronze.QUARANTINE

    def write(self, work: batch.Batch, table: Table, rows: DataFrame, prune: str) -> None:
        """Merge what differs; nothing is committed where nothing does. Where a load commits first, look again."""
        conflicts.retried(lambda: self._write(work, table, rows, prune), table.name)

    def _write(self, work: batch.Batch, table: Table, rows: DataFrame, prune: str) -> None:
        from pyspark.sql import functions as F

        present = batch.stored(work, table)
        if table is bronze.QUARANTINE:
            changes = conform.operations(table, rows, present)
        else:
            changes = batch.absent(table, rows, present).withColumn(conform.OPERATION, F.lit("insert"))
        kept = load.keep(work.spark, changes, f"{work.area}/changes/{table.name}")
        if not kept.isEmpty():
            load.conform(work.spark, table, kept, prune)
