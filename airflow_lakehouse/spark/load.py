"""Writing staged rows into tables: guarded MERGEs, stamped commits, and what each of them changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.exceptions import ConflictError
from airflow_lakehouse.spark import schema
from airflow_lakehouse.spark.catalog import find_table
from airflow_lakehouse.spark.create import create_table
from airflow_lakehouse.spark.files import STAGED
from airflow_lakehouse.spark.session import STAMP
from airflow_lakehouse.tables import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def ensure_tables(catalog: Catalog, more: Iterable[Table] = ()) -> None:
    """Create the tables that do not exist, so that readers of an early lakehouse find empty tables, not errors.

    :param catalog: the catalog.
    :param more: tables of outside parsers.
    """
    for table in missing_tables(catalog, more):
        catalog.create_namespace_if_not_exists(table.namespace)
        create_table(catalog, table)


def missing_tables(catalog: Catalog, more: Iterable[Table] = ()) -> list[Table]:
    """Return the tables that do not exist yet.

    :param catalog: the catalog.
    :param more: tables of outside parsers.
    """
    wanted = {table.identifier: table for table in (*ALL, *more)}
    # A Glue catalog holds other people's databases too: to list them all takes minutes, or is not allowed.
    spaces = {(table.namespace,) for table in wanted.values()} & set(catalog.list_namespaces())
    present = {name for space in spaces for name in map(".".join, catalog.list_tables(space))}
    return [table for name, table in wanted.items() if name not in present]


def insert_new(spark: SparkSession, table: Table, source: DataFrame, prune: str = "true") -> None:
    """Add the rows whose key the table does not have.

    :param spark: the session.
    :param table: the target.
    :param source: its columns, one row a key.
    :param prune: see :func:`airflow_lakehouse.spark.schema.insert_new_statement`.
    """
    _merge(spark, source, lambda view: schema.insert_new_statement(table, view, prune))


def conform(spark: SparkSession, table: Table, source: DataFrame, prune: str = "true") -> None:
    """Apply inserts, updates and deletes.

    :param spark: the session.
    :param table: the target.
    :param source: its columns and ``_operation``.
    :param prune: see :func:`airflow_lakehouse.spark.schema.conform_statement`.
    """
    _merge(spark, source, lambda view: schema.conform_statement(table, view, prune))


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
    return spark.read.parquet(path)


def snapshot_id(catalog: Catalog, table: Table) -> int | None:
    """Return the id of the snapshot readers see, or None.

    :param catalog: the catalog.
    :param table: the table.
    """
    found = find_table(catalog, table.identifier)
    snapshot = found.current_snapshot() if found else None
    return snapshot.snapshot_id if snapshot else None


def committed(catalog: Catalog, table: Table, before: int | None, properties: Mapping[str, str]) -> int | None:
    """Return the id of the snapshot a commit of ours has made, however many have followed since.

    :param catalog: the catalog.
    :param table: the table.
    :param before: id of the snapshot the commit was made for, or None.
    :param properties: what the session stamps into its commits.
    :raises ConflictError: when another commit has come in between.
    """
    found = find_table(catalog, table.identifier)
    snapshot = found.current_snapshot() if found else None
    while found and snapshot and before not in (snapshot.snapshot_id, snapshot.parent_snapshot_id):
        parent = snapshot.parent_snapshot_id
        snapshot = found.snapshot_by_id(parent) if parent is not None else None
    if snapshot is None or snapshot.snapshot_id == before:
        return before
    summary = _summary(snapshot)
    if any(summary.get(f"{STAMP}{name}") != value for name, value in properties.items()):
        raise conflict(table)
    return snapshot.snapshot_id


def conflict(table: Table) -> ConflictError:
    """Return the error of a run whose reading of a table is out of date.

    :param table: the table.
    """
    return ConflictError(f"another run has committed to {table.name} since this one read it", remedy="run it again")


def added_since(catalog: Catalog, table: Table, before: int | None) -> int:
    """Return how many records were added by commits after a snapshot, from the commits' own summaries.

    :param catalog: the catalog.
    :param table: the table.
    :param before: id of the snapshot before, or None.
    """
    found = find_table(catalog, table.identifier)
    snapshot = found.current_snapshot() if found else None
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
    return found.scan(snapshot_id=snapshot).count() if found and found.current_snapshot() else 0
