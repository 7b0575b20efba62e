"""Counting that every record that was cut out of a file is in exactly one place."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from typing import TYPE_CHECKING

from airflow_lakehouse.exceptions import BadRatioError, ReconciliationError
from airflow_lakehouse.spark.bronze.bronze_rows import VERSION
from airflow_lakehouse.spark.bronze.counts import Count, record
from airflow_lakehouse.spark.iceberg import schema
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from airflow_lakehouse.spark.bronze.ledger_rows import Entry
    from airflow_lakehouse.tables import Table


def check_bronze(catalog: Catalog, counts: Counter[tuple[int, str]], stored: Mapping[str, int], run_id: str) -> None:
    """Compare what was cut out of the files with what bronze and quarantine now hold of them, and record both.

    :param catalog: the catalog.
    :param counts: (index of the file, table) to records that were cut out.
    :param stored: from :func:`stored_rows`.
    :param run_id: the run.
    :raises ReconciliationError: when they differ; the counts were recorded.
    """
    expected: Counter[str] = Counter()
    for (_, target), count in counts.items():
        expected[target] += count
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


def stored_rows(spark: SparkSession, tables: Iterable[Table], entries: Sequence[Entry]) -> dict[str, int]:
    """Return how many rows of these file versions each table holds, in one query; tables without any are left out.

    :param spark: the session.
    :param tables: which; one at least.
    :param entries: the files.
    """
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
