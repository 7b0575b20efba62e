"""Counting that every record that was cut out of a file is in exactly one place."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from typing import TYPE_CHECKING

from airflow_lakehouse.exceptions import BadRatioError, ReconciliationError
from airflow_lakehouse.spark.bronze.bronze_rows import VERSION
from airflow_lakehouse.spark.bronze.counts import Count, record
from airflow_lakehouse.spark.iceberg import schema
from airflow_lakehouse.tables import bronze, by_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from airflow_lakehouse.spark.bronze.ledger_rows import Entry
    from airflow_lakehouse.tables import Table


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
