"""Writing staged rows into tables: guarded MERGEs, stamped commits, and what each of them changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.exceptions import ConflictError
from airflow_lakehouse.spark.iceberg import schema
from airflow_lakehouse.spark.storage.catalog import find_table
from airflow_lakehouse.spark.storage.files import STAGED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame, SparkSession

    from airflow_lakehouse.tables import Table


@dataclass(frozen=True, slots=True)
class Change:
    """What a run did to one table.

    :param rows: rows it has now.
    :param added: rows this run added.
    :param updated: rows this run changed.
    :param deleted: rows this run took away.
    """

    rows: int
    added: int = 0
    updated: int = 0
    deleted: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts as JSON values."""
        return asdict(self)


def insert_new(spark: SparkSession, table: Table, source: DataFrame, prune: str = "true") -> None:
    """Add the rows whose key the table does not have.

    :param spark: the session.
    :param table: the target.
    :param source: its columns, one row a key.
    :param prune: see :func:`airflow_lakehouse.spark.iceberg.schema.insert_new_statement`.
    """
    _merge(spark, source, lambda view: schema.insert_new_statement(table, view, prune))


def conform(
    spark: SparkSession, table: Table, source: DataFrame, prune: str = "true", branch: str | None = None
) -> None:
    """Apply inserts, updates and deletes.

    :param spark: the session.
    :param table: the target.
    :param source: its columns and ``_operation``.
    :param prune: see :func:`airflow_lakehouse.spark.iceberg.schema.conform_statement`.
    :param branch: see there.
    """
    _merge(spark, source, lambda view: schema.conform_statement(table, view, prune, branch))


def fill(table: Table, source: DataFrame, branch: str) -> None:
    """Add rows to a branch of a table that has none.

    An append conflicts with nothing: two runs would both commit. Nobody else writes this branch, and main is compared
    with what it was when the branch takes its place; so the rows need not be joined to a table that is empty.

    :param table: the target.
    :param source: its columns, one row a key.
    :param branch: a branch of this run's own.
    """
    source.select(*table.column_names).writeTo(schema.on_branch(table, branch)).append()


def _merge(spark: SparkSession, source: DataFrame, statement: Any) -> None:
    view = "lakehouse_merge_source"
    source.createOrReplaceTempView(view)
    try:
        spark.sql(statement(view))
    finally:
        spark.catalog.dropTempView(view)


def keep(spark: SparkSession, rows: DataFrame, path: str) -> DataFrame:
    """Store rows of this run and return them from there, so that they are computed once.

    :param spark: the session.
    :param rows: what to keep.
    :param path: URI of a folder of this run's own.
    """
    rows.write.mode("overwrite").options(**STAGED).parquet(path)
    # Told the columns, Spark need not run a job to find them in the files.
    return spark.read.schema(rows.schema).parquet(path)


def keep_counted(
    spark: SparkSession, rows: DataFrame, path: str, conditions: Mapping[str, str]
) -> tuple[DataFrame, dict[str, int]]:
    """Store rows as :func:`keep` does, and count them while they are written.

    A query that counts them afterwards costs a small run more than what it looks at.

    :param spark: the session.
    :param rows: what to keep.
    :param path: URI of a folder of this run's own.
    :param conditions: name to SQL condition of the rows that are counted.
    :return: the rows, and name to how many there are; names of which there are none are left out.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    seen = Observation()
    counts = [F.count_if(F.expr(condition)).alias(name) for name, condition in conditions.items()]
    # Last before the write: what a task that is retried has counted there is counted once.
    kept = keep(spark, rows.observe(seen, *counts), path)
    # An engine that does not tell must not be taken for one that found nothing.
    told = seen.get or kept.agg(*counts).collect()[0].asDict()
    return kept, {name: count for name, count in told.items() if count}


def snapshot_id(catalog: Catalog, table: Table) -> int | None:
    """Return the id of the snapshot readers see, or None.

    :param catalog: the catalog.
    :param table: the table.
    """
    found = find_table(catalog, table.identifier)
    snapshot = found.current_snapshot() if found else None
    return snapshot.snapshot_id if snapshot else None


def head(catalog: Catalog, table: Table, branch: str) -> int:
    """Return the id of the snapshot at the head of a branch.

    :param catalog: the catalog.
    :param table: the table.
    :param branch: the branch.
    :raises ConflictError: when the branch is gone.
    """
    found = find_table(catalog, table.identifier)
    held = found.refs().get(branch) if found else None
    if held is None:
        raise conflict(table)
    return held.snapshot_id


def conflict(table: Table) -> ConflictError:
    """Return the error of a run whose reading of a table is out of date.

    :param table: the table.
    """
    return ConflictError(f"another run has committed to {table.name} since this one read it", remedy="run it again")


def added_since(catalog: Catalog, table: Table, before: int | None, until: int | None = None) -> int:
    """Return how many records were added by commits after a snapshot, from the commits' own summaries.

    :param catalog: the catalog.
    :param table: the table.
    :param before: id of the snapshot before, or None.
    :param until: id of the last snapshot that counts; None for the one readers see.
    """
    found = find_table(catalog, table.identifier)
    snapshot = None
    if found is not None:
        snapshot = found.current_snapshot() if until is None else found.snapshot_by_id(until)
    added = 0
    while found and snapshot and snapshot.snapshot_id != before:
        # A compaction at the same time moves rows that were there, and calls them added.
        if snapshot.summary and snapshot.summary.operation.value != "replace":
            added += int(_summary(snapshot).get("added-records", 0))
        parent = snapshot.parent_snapshot_id
        snapshot = found.snapshot_by_id(parent) if parent is not None else None
    return added


def _summary(snapshot: Any) -> dict[str, str]:
    return dict(snapshot.summary.additional_properties) if snapshot.summary else {}


def row_count(catalog: Catalog, table: Table, snapshot: int | None = None) -> int:
    """Return how many rows a table has; from metadata alone where nothing was deleted.

    :param catalog: the catalog.
    :param table: the table.
    :param snapshot: an earlier snapshot of it; None for the one readers see.
    """
    found = find_table(catalog, table.identifier)
    if found is None or (snapshot is None and found.current_snapshot() is None):
        return 0
    return found.scan(snapshot_id=snapshot).count()
