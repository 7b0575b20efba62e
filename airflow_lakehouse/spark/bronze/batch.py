"""Loading files: cut, typed, staged, merged table by table, counted, and noted as loaded."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from airflow_lakehouse.spark.bronze import bronze_rows, discovery, drift, page_counts, reconcile, staging
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.bronze.ledger_rows import QUARANTINED, Entry
from airflow_lakehouse.spark.engine.session import stamp
from airflow_lakehouse.spark.iceberg import conflicts, load, schema
from airflow_lakehouse.tables import bronze, by_name

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame, Row, SparkSession

    from airflow_lakehouse.parsing import Registry
    from airflow_lakehouse.spark.jobs.model import JobArguments, JobResult
    from airflow_lakehouse.tables import Table

_log = logging.getLogger(__name__)
BATCHES: Final = "batches"
"""Snapshot property: ids of all batches a load wrote; more than one where it goes on with those of a killed run."""


class Mode(Protocol):
    """How the rows of a batch get into their tables.

    :param counts_unknown_fields: whether what no schema names is counted.
    """

    counts_unknown_fields: bool

    def is_due(self, table: Table, rows: int) -> bool:
        """Tell whether a table is written to.

        :param table: one of the targets.
        :param rows: how many rows the batch has for it.
        """

    def write(self, work: Batch, table: Table, rows: DataFrame, prune: str) -> None:
        """Write rows.

        :param work: the batch.
        :param table: the target.
        :param rows: its rows, one a key.
        :param prune: predicate on the target, see :func:`airflow_lakehouse.spark.iceberg.schema.insert_new_statement`.
        """


class FirstLoad:
    """Rows are added; those whose key is there, because another run loads the same files, are left alone."""

    counts_unknown_fields = True

    def is_due(self, table: Table, rows: int) -> bool:
        """Tell whether there is a row."""
        del table
        return rows > 0

    def write(self, work: Batch, table: Table, rows: DataFrame, prune: str) -> None:
        """Merge; where another run has committed meanwhile, look again at what is left to add."""
        try:
            load.insert_new(work.spark, table, rows, prune)
        except Exception as error:
            if not conflicts.is_conflict(error):
                raise
            Resumed().write(work, table, rows, prune)


class Resumed(FirstLoad):
    """A load that another run has begun: only what is absent is added, and nothing is committed where nothing is.

    A MERGE that finds every row there commits all the same, and that commit no longer tells silver what was added: it
    would read all of bronze.
    """

    def write(self, work: Batch, table: Table, rows: DataFrame, prune: str) -> None:
        """Merge what is absent."""
        conflicts.retried(lambda: self._write(work, table, rows, prune), table.name)

    def _write(self, work: Batch, table: Table, rows: DataFrame, prune: str) -> None:
        fresh = absent(table, rows, stored(work, table))
        if not fresh.isEmpty():
            load.insert_new(work.spark, table, fresh, prune)


def stored(work: Batch, table: Table) -> DataFrame:
    """Return the rows a table has of the files of a batch.

    :param work: the batch.
    :param table: one of its targets.
    """
    from pyspark.sql import functions as F

    versions = [(entry.file.uri, entry.file.etag) for entry in work.entries]
    mine = F.broadcast(work.spark.createDataFrame(versions, bronze_rows.VERSION))
    return work.spark.table(schema.qualified(table)).join(mine, list(bronze.FILE_KEY), "left_semi")


def absent(table: Table, rows: DataFrame, present: DataFrame) -> DataFrame:
    """Return the rows whose key is not there.

    :param table: the table they are for.
    :param rows: rows, one a key.
    :param present: rows it has.
    """
    return rows.join(present.select(*table.key), list(table.key), "left_anti").select(*table.column_names)


@dataclass
class Batch:
    """The load of some files: where it stages, what it has counted.

    :param spark: the session.
    :param catalog: the same catalog through PyIceberg.
    :param entries: the files, with the batch and time they were first seen in.
    :param area: URI of a folder of this run's own.
    :param mode: how rows get into their tables.
    """

    spark: SparkSession
    catalog: Catalog
    entries: list[Entry]
    area: str
    mode: Mode = field(default_factory=FirstLoad)
    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    unknown: drift.Drift = field(default_factory=drift.Drift)
    sources: dict[str, list[DataFrame]] = field(default_factory=lambda: defaultdict(list))


def load_batch(work: Batch, registry: Registry, arguments: JobArguments, result: JobResult, job: str) -> None:
    """Load the files of a batch, and say what became of them.

    :param work: the batch.
    :param registry: the parsers.
    :param arguments: of the job.
    :param result: of the job; counts are written into it.
    :param job: name of the job, stamped into the commits.
    :raises ReconciliationError: when records went missing or were doubled.
    :raises BadRatioError: when more were rejected than the run allows.
    """
    result.batch_id = work.entries[-1].batch_id
    every = ",".join(sorted({entry.batch_id for entry in work.entries}))
    stamp(work.spark, {"batch-id": result.batch_id, BATCHES: every, **arguments.stamps(job)})
    staging.clear_abandoned(arguments.profile)
    try:
        _stage(work, registry, work.area)
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
        staging.clear(work.area, arguments.profile)
    read = sum(work.counts.values())
    result.records = {"read": read, "bronze": bronze_total, "quarantine": quarantined}
    result.quarantine = dict(sorted(work.reasons.items()))
    finished = _finished(work)
    result.files["quarantined"] = sum(entry.state == QUARANTINED for entry in finished)
    result.files["loaded"] -= result.files["quarantined"]
    filled = sorted({target for _, target in work.counts})
    stored_now = reconcile.stored_rows(
        work.spark, [registry.tables.get(name) or by_name(name) for name in filled], finished
    )
    reconcile.check_bronze(work.catalog, work.counts, stored_now, arguments.run_id)
    if any(target == bronze.DOCS_PAGES.name for _, target in work.counts):
        page_counts.check_pages(work.catalog, stored(work, bronze.DOCS_PAGES), arguments.run_id)
    drift.record(work.catalog, work.unknown, result.batch_id)
    # Before the files are noted as loaded: a retry must come to the same end, not find nothing to do and succeed.
    reconcile.check_bad_ratio(read, work.reasons, arguments.max_bad_ratio)
    Ledger(work.catalog).write(finished, arguments.run_id)


def _stage(work: Batch, registry: Registry, area: str) -> None:
    spark, entries = work.spark, work.entries
    by_parser: dict[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        by_parser[entry.found.parser].append(number)
    for name, numbers in by_parser.items():
        part = [entries[number] for number in numbers]
        rescued: dict[str, DataFrame] = {}
        if name == discovery.UNKNOWN:
            staged = bronze_rows.unknown_files(spark, part)
            surveyed = staged.groupBy("file_no", "target", "reason").count().collect()
        else:
            parser = registry.get(name)
            staged = staging.stage(spark, part, parser, registry.modules, f"{area}/{name}")
            surveyed = drift.survey(parser, staged)
            odd = drift.odd_types(parser, surveyed)
            if work.mode.counts_unknown_fields:
                work.unknown.add(parser, staged, odd, [entry.file.source_system for entry in part])
            if odd and hasattr(parser, "rescued"):
                found = load.keep(spark, drift.rescued(name, registry.modules, staged, odd), f"{area}/{name}-rescued")
                rescued = dict.fromkeys((one.target for one in odd), found)
        renumbered = bronze_rows.with_files(spark, staged, part)
        _count(work, surveyed, numbers)
        for target in bronze_rows.targets(registry, name):
            records = bronze_rows.with_rescued(renumbered, rescued.get(target.name))
            work.sources[target.name].append(bronze_rows.rows_of(records, target, name))


def _count(work: Batch, surveyed: list[Row], numbers: list[int]) -> None:
    """Count what each file holds, by target; this is the "read" that everything later must add up to."""
    for row in surveyed:
        target = row["target"] if row["reason"] is None else bronze.QUARANTINE.name
        work.counts[numbers[row["file_no"]], target] += row["count"]
        if row["reason"] is not None:
            work.reasons[row["reason"]] += row["count"]


def _write(work: Batch, table: Table) -> load.Change | None:
    numbers = {number for number, target in work.counts if target == table.name}
    sources = work.sources.get(table.name, [])
    if not sources or not work.mode.is_due(table, len(numbers)):
        return None
    source = sources[0]
    for more in sources[1:]:
        source = source.unionByName(more)
    days = {entry.file.dt for entry in work.entries}
    before = load.snapshot_id(work.catalog, table)
    work.mode.write(work, table, source, bronze_rows.prune(table, days))
    _log.info("%s: committed", table.name)
    return load.Change(load.row_count(work.catalog, table), load.added_since(work.catalog, table, before))


def _finished(work: Batch) -> list[Entry]:
    finished = []
    for number, entry in enumerate(work.entries):
        records = sum(count for (file, _), count in work.counts.items() if file == number)
        finished.append(entry.loaded(records, work.counts[number, bronze.QUARANTINE.name]))
    return finished
