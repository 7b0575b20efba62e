"""Counting that every record is in exactly one place."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import BadRatioError, ReconciliationError
from airflow_lakehouse.spark import load, schema
from airflow_lakehouse.spark.bronze_rows import VERSION
from airflow_lakehouse.spark.catalog import find_table
from airflow_lakehouse.spark.totals import BRONZE_CLASSES, COMPONENT
from airflow_lakehouse.spark.transforms.versions import WINNER
from airflow_lakehouse.tables import bronze, by_name, ops, silver

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from airflow_lakehouse.spark.conform import Outcome
    from airflow_lakehouse.spark.delta import Watermark
    from airflow_lakehouse.spark.ledger_rows import Entry
    from airflow_lakehouse.tables import Table

MAKE_ANEW: Final = (
    "if silver was changed by hand, make it anew: `lakehouse run --full --warehouse DIR`, or"
    " arguments={'full': True} of the bronze_to_silver task; else keep the warehouse and report it with"
    " ops.reconciliation"
)
STORED: Final = "stored"
"""Class of the rows a table has, beside the classes they were counted in."""
Count = tuple[str, str, str, int]
"""Stage, table, class, rows."""


def check_bronze(  # noqa: PLR0913 - where to count, what to compare, and as whose run
    spark: SparkSession,
    catalog: Catalog,
    entries: Sequence[Entry],
    counts: Counter[tuple[int, str]],
    *,
    run_id: str,
    tables: Iterable[Table] = (),
) -> None:
    """Compare what was cut out of the files with what bronze and quarantine now hold of them, and record both.

    :param spark: the session.
    :param catalog: the catalog.
    :param entries: the files of the load.
    :param counts: (index of the file, table) to records that were cut out.
    :param run_id: the run.
    :param tables: tables of outside parsers.
    :raises ReconciliationError: when they differ; the counts were recorded.
    """
    outside = {table.name: table for table in tables}
    expected: Counter[str] = Counter()
    for (_, target), count in counts.items():
        expected[target] += count
    stored = _stored(spark, [outside.get(name) or by_name(name) for name in sorted(expected)], entries)
    rows: list[Count] = []
    for name, count in sorted(expected.items()):
        rows += [("bronze", name, "read", count), ("bronze", name, "loaded", stored.get(name, 0))]
    record(catalog, rows, run_id)
    wrong = [
        f"{name}: {count} read, {stored.get(name, 0)} stored"
        for name, count in expected.items()
        if count != stored.get(name, 0)
    ]
    if wrong:
        raise ReconciliationError("records went missing or were doubled (" + "; ".join(sorted(wrong)) + ")")


def check_bad_ratio(read: int, reasons: Counter[str], limit: float | None) -> None:
    """Compare the share of records that were rejected with what the run allows.

    :param read: records that were cut out.
    :param reasons: reason to records rejected for it.
    :param limit: share, 0 to 1; None for any.
    :raises BadRatioError: when it is greater; the message names reasons and counts.
    """
    bad = reasons.total()
    if limit is None or bad <= limit * read:
        return
    told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    raise BadRatioError(
        f"{bad} of {read} records were rejected ({told}), more than max_bad_ratio {limit:g} allows",
        remedy="look at bronze_quarantine; mend the source or raise the limit, and run again: nothing is loaded twice",
    )


def _stored(spark: SparkSession, tables: Sequence[Table], entries: Sequence[Entry]) -> dict[str, int]:
    """Return how many rows of these file versions each table holds, in one query."""
    from pyspark.sql import functions as F

    # By file version, not by batch: of a batch that was killed half way, only some files are loaded now.
    versions = spark.createDataFrame([(entry.file.uri, entry.file.etag) for entry in entries], VERSION)
    batches = sorted({entry.batch_id for entry in entries})
    parts = [
        spark.table(schema.qualified(table))
        .where(F.col("batch_id").isin(batches))
        .select(F.lit(table.name).alias("table"), *bronze.FILE_KEY)
        for table in tables
    ]
    whole = reduce(lambda left, right: left.unionByName(right), parts)
    counted = whole.join(F.broadcast(versions), list(bronze.FILE_KEY), "left_semi").groupBy("table").count()
    return {row["table"]: row["count"] for row in counted.collect()}


def check_silver(counts: list[Count], outcomes: Mapping[str, Outcome]) -> None:
    """Count how the input of each silver table was classified, and check that all that was conformed is there.

    :param counts: gets the counts, also where they do not add up.
    :param outcomes: table name to what the run did.
    :raises ReconciliationError: when a table holds not as many rows as were conformed.
    """
    for name, outcome in outcomes.items():
        counts += [("silver", name, class_, count) for class_, count in sorted(outcome.classes.items())]
        counts += [("silver", name, change, count) for change, count in outcome.change.as_dict().items()]
    lost = [
        f"{name}: {outcome.expected} conformed, {outcome.change.rows} stored"
        for name, outcome in sorted(outcomes.items())
        if outcome.expected not in (None, outcome.change.rows)
    ]
    if lost:
        raise ReconciliationError("rows went missing or were doubled (" + "; ".join(lost) + ")")


def check_totals(
    counts: list[Count],
    catalog: Catalog,
    totals: dict[str, dict[str, int]],
    there: Watermark,
    left: Mapping[str, int | None],
) -> None:
    """Compare the classes of all bronze rows with what bronze and silver hold.

    Every row of bronze is in one class, and every winner and every component is a row of silver or a collision. Both
    are counted as this run has read and left them: another run may have gone on since.

    :param counts: gets the counts, also where they do not add up.
    :param catalog: the catalog.
    :param totals: silver table to class to rows, over all runs.
    :param there: the snapshots of bronze that were read.
    :param left: silver table name to the snapshot it was left at.
    :raises ReconciliationError: when they differ.
    """
    wrong = []
    for name, classes in sorted(totals.items()):
        source = by_name(by_name(name).reads[0])
        stored = _rows_at(catalog, source, there.snapshot(source))
        placed = sum(_rows_at(catalog, table, left.get(table.name)) for table in _places(by_name(name)))
        counts += [("total", name, class_, count) for class_, count in sorted(classes.items())]
        counts += [("total", name, STORED, placed), ("total", source.name, STORED, stored)]
        classified = sum(classes.get(class_, 0) for class_ in BRONZE_CLASSES)
        made = classes.get(WINNER, 0) + classes.get(COMPONENT, 0)
        wrong += [f"{source.name}: {classified} classified, {stored} stored"] if classified != stored else []
        wrong += [f"{name}: {made} made, {placed} stored"] if made != placed else []
    if wrong:
        raise ReconciliationError(
            f"rows went missing or were doubled over all runs ({'; '.join(wrong)})", remedy=MAKE_ANEW
        )


def _rows_at(catalog: Catalog, table: Table, snapshot: int | None) -> int:
    """Return the rows a table had at a snapshot; before its first one, none, whatever others have added since."""
    return load.row_count(catalog, table, snapshot) if snapshot is not None else 0


def _places(table: Table) -> tuple[Table, ...]:
    """Return the tables that hold what a table's source gives."""
    return (table, silver.COLLISIONS) if table is silver.OBSERVATION else (table,)


def record(catalog: Catalog, counts: list[Count], run_id: str) -> None:
    """Append counts to ``ops.reconciliation``.

    :param catalog: the catalog.
    :param counts: what was counted.
    :param run_id: the run.
    """
    import pyarrow as pa

    target = find_table(catalog, ops.RECONCILIATION.identifier)
    if target is None or not counts:
        return
    now = datetime.now(UTC)
    rows = [
        {"run_id": run_id, "stage": stage, "table_name": table, "class": class_, "rows": count, "recorded_at": now}
        for stage, table, class_, count in counts
    ]
    target.append(pa.Table.from_pylist(rows, schema=target.schema().as_arrow()))
