"""Look at one partition of an Iceberg table, in its metadata: data files are opened only where they hold others too."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_lakehouse import tables
from airflow_lakehouse.exceptions import ConfigurationError, TableNotFoundError
from airflow_lakehouse.hooks.iceberg import read_catalog
from airflow_lakehouse.hooks.looking import Finding, Look
from airflow_lakehouse.hooks.profile import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import FileScanTask
    from pyiceberg.table import Table as IcebergTable


@dataclass(frozen=True, slots=True)
class PartitionFinding:
    """What a table says about a partition.

    :param table: namespace and name.
    :param partition: column to value, as asked for.
    :param snapshot_id: snapshot that was read; None where there is no table or it is empty.
    :param snapshot_time: when that snapshot was committed, ISO 8601.
    :param rows: rows in the partition's data files, less those its delete files name; in files that hold others too,
        as those from before the table was partitioned so, the rows of the partition.
    :param files: data files of the partition.
    """

    table: str
    partition: dict[str, Any]
    snapshot_id: int | None = None
    snapshot_time: str | None = None
    rows: int = 0
    files: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return asdict(self)


def legal_columns(table: str) -> tuple[str, ...] | None:
    """Return the partition columns of a table that is defined here; None for any other, whose metadata tells them.

    :param table: with or without the namespace.
    """
    try:
        return tables.by_name(table).partition_columns
    except TableNotFoundError:
        return None


def check_columns(table: str, partition: Mapping[str, Any], legal: tuple[str, ...]) -> None:
    """Refuse columns a table is not partitioned by: waiting for them would never end.

    :param table: name of the table.
    :param partition: column to value.
    :param legal: columns it is partitioned by.
    :raises ConfigurationError: when a column is not among them, or none is given.
    """
    strangers = [column for column in partition if column not in legal]
    if strangers or not partition:
        asked = ", ".join(strangers) or "no column"
        raise ConfigurationError(
            f"table {table!r} is not partitioned by {asked}", legal=", ".join(legal) or "nothing: it has no partitions"
        )


def identifier_of(table: str) -> str:
    """Return a table's namespace and name.

    :param table: with or without the namespace; tables of gold carry it in their name.
    :raises ConfigurationError: when the namespace cannot be told.
    """
    if "." in table:
        return table
    try:
        return tables.by_name(table).identifier
    except TableNotFoundError:
        namespace = table.partition("_")[0]
    if namespace not in tables.NAMESPACES:
        raise ConfigurationError(f"table {table!r} names no namespace", legal="such as gold.gold_docs_quality")
    return f"{namespace}.{table}"


def look_at(catalog: Catalog, table: str, partition: Mapping[str, Any]) -> PartitionFinding:
    """Return what a table holds in a partition. A table that does not exist holds nothing.

    :param catalog: an open catalog.
    :param table: namespace and name.
    :param partition: column to value; None asks for the rows without one.
    :raises ConfigurationError: when the table is not partitioned so, or a value does not fit its column.
    """
    from airflow_lakehouse.spark.storage.catalog import find_table

    found = find_table(catalog, table)
    snapshot = found.current_snapshot() if found else None
    if found is None or snapshot is None:
        return PartitionFinding(table, dict(partition))
    check_columns(table, partition, _columns_of(found))
    tasks = _plan(found, partition)
    return PartitionFinding(
        table,
        dict(partition),
        snapshot.snapshot_id,
        datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC).isoformat(),
        _rows(found, partition, tasks),
        len(tasks),
    )


def _rows(table: IcebergTable, partition: Mapping[str, Any], tasks: list[FileScanTask]) -> int:
    from pyiceberg.expressions import AlwaysTrue

    if any(task.residual != AlwaysTrue() for task in tasks):
        # A file of an earlier partition spec holds rows of other partitions too: these columns of it must be read.
        return int(table.scan(row_filter=_filter(partition), selected_fields=tuple(partition)).count())
    return live_rows(tasks)


def live_rows(tasks: Iterable[FileScanTask]) -> int:
    """Count the rows of data files, less those their delete files name; no data file is opened.

    :param tasks: what a scan reads.
    """
    rows = 0
    deletes: dict[str, int] = {}
    for task in tasks:
        rows += task.file.record_count
        # One delete file may belong to several data files; it counts once.
        deletes |= {delete.file_path: delete.record_count for delete in task.delete_files}
    return max(0, rows - sum(deletes.values()))


def _plan(table: IcebergTable, partition: Mapping[str, Any]) -> list[FileScanTask]:
    try:
        return list(table.scan(row_filter=_filter(partition)).plan_files())
    except (ValueError, TypeError) as error:
        values = ", ".join(f"{column}={value!r}" for column, value in partition.items())
        raise ConfigurationError(
            f"{values} does not fit the columns of {'.'.join(table.name())}",
            legal=", ".join(map(str, table.schema().fields)),
        ) from error


def _columns_of(table: IcebergTable) -> tuple[str, ...]:
    schema = table.schema()
    fields = [field for field in table.spec().fields if str(field.transform) == "identity"]
    return tuple(name for field in fields if (name := schema.find_column_name(field.source_id)))


def _filter(partition: Mapping[str, Any]) -> BooleanExpression:
    from pyiceberg.expressions import AlwaysTrue, And, EqualTo, IsNull, Reference

    # By place: PyIceberg 0.9 calls the value another name than those after it, whose types know names alone.
    equal: Any = EqualTo
    expression: BooleanExpression = AlwaysTrue()
    for column, value in partition.items():
        term = Reference(column)
        expression = And(expression, IsNull(term=term) if value is None else equal(term, value))
    return expression


def look_for(catalog: Catalog | None, table: str, partition: Mapping[str, Any]) -> PartitionFinding:
    """Return what a lakehouse holds in a partition; nothing where it has no catalog, table or snapshot yet.

    :param catalog: an open catalog; None where it is still to be made.
    :param table: with or without the namespace.
    :param partition: column to value.
    :raises ConfigurationError: when the table is not partitioned so, or a value does not fit its column.
    """
    legal = legal_columns(table)
    if legal is not None:
        check_columns(table, partition, legal)
    identifier = identifier_of(table)
    return look_at(catalog, identifier, partition) if catalog else PartitionFinding(identifier, dict(partition))


@dataclass(frozen=True)
class PartitionLook(Look):
    """Look for rows in a partition: what :class:`PartitionFinding` holds.

    :param table: with or without its namespace.
    :param partition: column to value; partition columns alone.
    :param min_rows: how many rows there must be.
    :param lakehouse_conn_id: connection of the catalog, of any type of :mod:`airflow_lakehouse.hooks.iceberg`.
    :param aws_conn_id: Airflow's AWS connection for Glue and S3.
    """

    table: str
    partition: dict[str, Any]
    min_rows: int = 1
    lakehouse_conn_id: str = DEFAULT_CONN_ID
    aws_conn_id: str | None = None

    def look(self, cursor: dict[str, Any] | None = None) -> Finding:  # noqa: ARG002 - nothing new is looked for
        """Read the table's metadata once."""
        found = read_catalog(
            self.lakehouse_conn_id, self.aws_conn_id, lambda catalog: look_for(catalog, self.table, self.partition)
        )
        return Finding(found.rows >= self.min_rows, found.as_dict())
