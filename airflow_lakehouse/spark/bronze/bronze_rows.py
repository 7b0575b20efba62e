"""Staged records as rows of their bronze tables, with their provenance."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.bronze import cutting, discovery, drift, staging
from airflow_lakehouse.spark.iceberg import schema
from airflow_lakehouse.spark.storage import files
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from airflow_lakehouse.parsing import Registry
    from airflow_lakehouse.spark.bronze.ledger_rows import Entry
    from airflow_lakehouse.tables import Table

UNKNOWN_FORMAT: Final = "UNKNOWN_FORMAT"
"""No parser claims the file."""
EMPTY_FILE: Final = "EMPTY_FILE"
"""The file has no bytes."""
VERSION: Final = ", ".join(f"{name} STRING" for name in bronze.FILE_KEY)
"""Columns that tell a file version, as a Spark schema."""
_KEPT_BYTES: Final = 2**20
_FILE_COLUMNS: Final = (
    "file_no INT, source_uri STRING, source_etag STRING, dt DATE, source_system STRING, batch_id STRING,"
    " ingested_at TIMESTAMP"
)


def targets(registry: Registry, parser: str) -> tuple[Table, ...]:
    """Return the tables a parser's records may go to, quarantine last.

    :param registry: the parsers.
    :param parser: its name, or :data:`airflow_lakehouse.spark.bronze.discovery.UNKNOWN`.
    """
    own = () if parser == discovery.UNKNOWN else registry.get(parser).tables
    return (*own, bronze.QUARANTINE)


def unknown_files(spark: SparkSession, entries: list[Entry]) -> DataFrame:
    """Return one reject a file that no parser claims, or that is gone; small files keep their bytes.

    :param spark: the session.
    :param entries: the files.
    """
    rows = []
    for number, entry in enumerate(entries):
        reason, detail = UNKNOWN_FORMAT if entry.file.size else EMPTY_FILE, "no parser reads this file"
        try:
            content = _content(entry)
        except FileNotFoundError:
            reason, detail, content = cutting.VANISHED, cutting.GONE, None
        rows.append((number, 0, 0, reason, detail, content, None))
    return spark.createDataFrame(
        rows, "file_no INT, position BIGINT, entry INT, reason STRING, detail STRING, raw BINARY, target STRING"
    )


def _content(entry: Entry) -> bytes | None:
    with files.open_raw(entry.file.uri, entry.file.etag) as stream:
        return stream.read() if entry.file.size <= _KEPT_BYTES else None


def with_files(spark: SparkSession, staged: DataFrame, entries: list[Entry]) -> DataFrame:
    """Add to each record what the load knows of its file.

    :param spark: the session.
    :param staged: records with ``file_no``, an index into ``entries``.
    :param entries: the files.
    """
    from pyspark.sql import functions as F

    rows = [
        (
            number,
            entry.file.uri,
            entry.file.etag,
            date.fromisoformat(entry.file.dt) if entry.file.dt else None,
            entry.file.source_system,
            entry.batch_id,
            entry.ingested_at,
        )
        for number, entry in enumerate(entries)
    ]
    return staged.join(F.broadcast(spark.createDataFrame(rows, _FILE_COLUMNS)), "file_no")


def with_rescued(records: DataFrame, found: DataFrame | None) -> DataFrame:
    """Add to each record what its parser found odd in it.

    :param records: staged records.
    :param found: from :func:`airflow_lakehouse.spark.bronze.drift.rescued`; None where nothing was.
    """
    from pyspark.sql import functions as F

    if found is None:
        return records.withColumn(bronze.RESCUED.name, F.lit(None).cast("string"))
    return records.join(found, list(drift.RECORD), "left")


def rows_of(records: DataFrame, table: Table, parser: str) -> DataFrame:
    """Return the records that belong to a table, with exactly its columns.

    :param records: from :func:`with_files`.
    :param table: one of :func:`targets`.
    :param parser: name of the parser, stored with rejects.
    """
    from pyspark.sql import functions as F

    if table is bronze.QUARANTINE:
        rejected = records.where(F.col("reason").isNotNull()).withColumn("parser", F.lit(parser))
        return rejected.select(*table.column_names)
    chosen = records.where(F.col("reason").isNull() & (F.col("target") == table.name))
    placed = chosen.withColumn("source_row", F.col("position")).withColumn("source_entry", F.col("entry"))
    return placed.select(*_columns(placed, table)).select(*table.column_names)


def _columns(placed: DataFrame, table: Table) -> list[Column]:
    from pyspark.sql import functions as F

    if "payload" not in placed.columns:
        return [F.col(name) for name in table.column_names]
    own = {column.name for column in bronze.PROVENANCE}
    return [*staging.payload_columns(table, own), *(F.col(name) for name in table.column_names if name in own)]


def prune(table: Table, days: set[str | None]) -> str:
    """Return the partition predicate of a load.

    :param table: the target.
    :param days: days of the files that are loaded; None for a file without one.
    """
    if "dt" not in table.partition_columns:
        return "true"
    return schema.any_of("dt", {f"DATE '{day}'" if day else None for day in days})
