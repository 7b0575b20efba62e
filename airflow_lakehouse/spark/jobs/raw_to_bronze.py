"""Raw to bronze: every new file version of a drop, record by record, into bronze or into quarantine.

Discover, look up the ledger, write down what is about to be loaded, cut and type the records, MERGE them table by
table, count, and write down that it is done. Each step may be killed; the next run goes on from there.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_lakehouse.parsing import load_registry
from airflow_lakehouse.spark import bronze_rows, discovery, files, load, reconcile, staging
from airflow_lakehouse.spark.catalog import create_local_catalog, load_pyiceberg
from airflow_lakehouse.spark.engine import job_session
from airflow_lakehouse.spark.jobs.model import JobArguments, JobResult
from airflow_lakehouse.spark.ledger import QUARANTINED, Entry, Ledger
from airflow_lakehouse.spark.session import stamp
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame, SparkSession

    from airflow_lakehouse.parsing import Registry
    from airflow_lakehouse.tables import Table

NAME = "raw_to_bronze"
_log = logging.getLogger(__name__)


@dataclass
class _Load:
    """The load of one batch: where it stages, what it has counted."""

    spark: SparkSession
    catalog: Catalog
    entries: list[Entry]
    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    sources: dict[str, list[DataFrame]] = field(default_factory=lambda: defaultdict(list))


def run(arguments: JobArguments) -> JobResult:
    """Load what is new in the profile's drop.

    :param arguments: the profile and which part of the drop.
    :raises LakehouseError: when the drop or the warehouse cannot be used, or the counts do not add up.
    """
    started = time.monotonic()
    profile = arguments.profile
    registry = load_registry(profile.parsers)
    found = discovery.discover(profile, registry, arguments.scope)
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    pending, done = Ledger(catalog).plan(found, NAME)
    ready, waiting = _split_ready(pending, registry)
    result = JobResult(arguments.run_id, files=_file_counts(found, ready, done, waiting))
    load.ensure_tables(catalog, registry.tables.values())
    if ready:
        with job_session(profile) as spark:
            _load(_Load(spark, catalog, ready), registry, arguments, result)
    if not ready:
        result.status = "unchanged"
        result.records = {"read": 0, "bronze": 0, "quarantine": 0}
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


def _file_counts(
    found: list[discovery.Found], ready: list[Entry], done: list[Entry], waiting: list[Entry]
) -> dict[str, int]:
    counts = {"found": len(found), "loaded": len(ready), "skipped": len(done), "quarantined": 0}
    return {**counts, "waiting": len(waiting)} if waiting else counts


def _load(work: _Load, registry: Registry, arguments: JobArguments, result: JobResult) -> None:
    ledger = Ledger(work.catalog)
    ledger.write(work.entries, arguments.run_id)
    result.batch_id = work.entries[-1].batch_id
    stamp(work.spark, {"batch-id": result.batch_id, "run-id": arguments.run_id, "job": NAME})
    area = f"{arguments.profile.warehouse_uri}/_staging/{arguments.run_id}"
    try:
        _stage(work, registry, area)
        bronze_total, quarantined = 0, 0
        for table in (*registry.tables.values(), bronze.QUARANTINE):
            change = _write(work, table)
            if change is None:
                continue
            result.tables[table.name] = change.as_dict()
            staged = sum(count for (_, target), count in work.counts.items() if target == table.name)
            quarantined += staged if table is bronze.QUARANTINE else 0
            bronze_total += 0 if table is bronze.QUARANTINE else staged
    finally:
        files.delete_folder(area)
    read = sum(work.counts.values())
    result.records = {"read": read, "bronze": bronze_total, "quarantine": quarantined}
    result.quarantine = dict(sorted(work.reasons.items()))
    finished = _finished(work)
    result.files["quarantined"] = sum(entry.state == QUARANTINED for entry in finished)
    result.files["loaded"] -= result.files["quarantined"]
    reconcile.check_bronze(
        work.spark, work.catalog, finished, work.counts, run_id=arguments.run_id, tables=registry.tables.values()
    )
    ledger.write(finished, arguments.run_id)


def _stage(work: _Load, registry: Registry, area: str) -> None:
    spark, entries = work.spark, work.entries
    by_parser: dict[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        by_parser[entry.found.parser].append(number)
    for name, numbers in by_parser.items():
        part = [entries[number] for number in numbers]
        if name == discovery.UNKNOWN:
            staged = bronze_rows.unknown_files(spark, part)
        else:
            staging.stage(spark, part, registry.get(name), registry.modules, f"{area}/{name}")
            staged = spark.read.parquet(f"{area}/{name}")
        renumbered = bronze_rows.with_files(spark, staged, part)
        _count(work, staged, numbers)
        for target in bronze_rows.targets(registry, name):
            work.sources[target.name].append(bronze_rows.rows_of(renumbered, target, name))


def _count(work: _Load, staged: DataFrame, numbers: list[int]) -> None:
    """Count what each file holds, by target; this is the "read" that everything later must add up to."""
    grouped = staged.groupBy("file_no", "target", "reason").count().collect()
    for row in grouped:
        target = row["target"] if row["reason"] is None else bronze.QUARANTINE.name
        work.counts[numbers[row["file_no"]], target] += row["count"]
        if row["reason"] is not None:
            work.reasons[row["reason"]] += row["count"]


def _write(work: _Load, table: Table) -> load.Change | None:
    numbers = {number for number, target in work.counts if target == table.name}
    sources = work.sources.get(table.name, [])
    if not numbers or not sources:
        return None
    source = sources[0]
    for more in sources[1:]:
        source = source.unionByName(more)
    days = {work.entries[number].file.dt for number in numbers}
    before = load.snapshot_id(work.catalog, table)
    load.insert_new(work.spark, table, source, bronze_rows.prune(table, days))
    _log.info("%s: committed", table.name)
    return load.Change(load.row_count(work.catalog, table), load.added_since(work.catalog, table, before))


def _finished(work: _Load) -> list[Entry]:
    finished = []
    for number, entry in enumerate(work.entries):
        records = sum(count for (file, _), count in work.counts.items() if file == number)
        finished.append(entry.loaded(records, work.counts[number, bronze.QUARANTINE.name]))
    return finished
