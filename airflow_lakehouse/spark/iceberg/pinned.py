"""Snapshots of a table read under the names and types it has today.

Every reader of Iceberg reads a snapshot under the names it was committed with. For people who look back that is right;
a job must find the columns it knows, also in a snapshot from before the release that renamed or added them. Columns are
told by their ids; those a snapshot lacks are null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.profile import CATALOG_NAME

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import DataScan
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.types import IcebergType, StructType
    from pyspark.sql import DataFrame, SparkSession


_LEAST_SPLIT: Final = 2 * 2**20
_ICEBERGS_LEAST_SPLIT: Final = 16 * 2**20


def scan(table: IcebergTable, snapshot: Snapshot, **options: Any) -> DataScan:
    """Return a scan of a snapshot through PyIceberg.

    :param table: the table.
    :param snapshot: one of its snapshots.
    :param options: of :meth:`pyiceberg.table.Table.scan`.
    """
    from pyiceberg.table import Table as IcebergTable

    # Without a snapshot id PyIceberg takes today's columns; this copy of the metadata is in memory alone.
    metadata = table.metadata.model_copy(update={"current_snapshot_id": snapshot.snapshot_id})
    copy = IcebergTable(table.name(), metadata, table.metadata_location, table.io, table.catalog)
    return copy.scan(**options)


def rows(spark: SparkSession, table: IcebergTable, snapshot_id: int) -> DataFrame:
    """Return the rows of a snapshot through Spark.

    :param spark: the session.
    :param table: the table.
    :param snapshot_id: one of its snapshots.
    """
    name = f"{CATALOG_NAME}.{'.'.join(table.name()[-2:])}"
    reader = spark.read.option("versionAsOf", str(snapshot_id))
    split = _split_bytes(table, snapshot_id, int(spark.conf.get("spark.sql.shuffle.partitions") or 1))
    found = (reader.option("split-size", str(split)) if split else reader).table(name)
    then, now = _schema_of(table, snapshot_id), table.schema()
    if then.as_struct() == now.as_struct():
        return found
    return found.selectExpr(*_columns(then.as_struct(), now.as_struct()))


def _split_bytes(table: IcebergTable, snapshot_id: int, tasks: int) -> int | None:
    """Return how much of a snapshot one task reads, such that each has work; None to leave it to Iceberg.

    Iceberg gives a task 16 MiB at least. Records of so many bytes take a core ten seconds to type, while others idle.
    """
    snapshot = table.snapshot_by_id(snapshot_id)
    told = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
    share = int(told.get("total-files-size", 0)) // max(tasks, 1)
    return max(share, _LEAST_SPLIT) if 0 < share < _ICEBERGS_LEAST_SPLIT else None


def _schema_of(table: IcebergTable, snapshot_id: int) -> Schema:
    snapshot = table.snapshot_by_id(snapshot_id)
    schema_id = snapshot.schema_id if snapshot else None
    return table.schemas().get(table.metadata.current_schema_id if schema_id is None else schema_id, table.schema())


def _columns(then: StructType, now: StructType) -> list[str]:
    known = {field.field_id: field for field in then.fields}
    columns = []
    for field in now.fields:
        old = known.get(field.field_id)
        value = _value(f"`{old.name}`", old.field_type, field.field_type) if old else _null(field.field_type)
        columns.append(f"{value} AS `{field.name}`")
    return columns


def _value(value: str, then: IcebergType, now: IcebergType, depth: int = 0) -> str:
    """Return a Spark expression for a value of an earlier type as one of today's."""
    from pyiceberg.types import ListType, MapType, StructType

    if then == now:
        return value
    if isinstance(then, StructType) and isinstance(now, StructType):
        return _struct(value, then, now, depth)
    if isinstance(then, ListType) and isinstance(now, ListType):
        inner = _value(f"e{depth}", then.element_type, now.element_type, depth + 1)
        return f"transform({value}, e{depth} -> {inner})"
    if isinstance(then, MapType) and isinstance(now, MapType):
        inner = _value(f"v{depth}", then.value_type, now.value_type, depth + 1)
        return f"transform_values({value}, (k{depth}, v{depth}) -> {inner})"
    return f"CAST({value} AS {_name(now)})"


def _struct(value: str, then: StructType, now: StructType, depth: int) -> str:
    known = {field.field_id: field for field in then.fields}
    members = []
    for field in now.fields:
        old = known.get(field.field_id)
        member = (
            _value(f"{value}.`{old.name}`", old.field_type, field.field_type, depth) if old else _null(field.field_type)
        )
        members.append(f"'{field.name}', {member}")
    # Of no struct, one of nulls would be made.
    return f"IF({value} IS NULL, NULL, named_struct({', '.join(members)}))"


def _null(type_: IcebergType) -> str:
    return f"CAST(NULL AS {_name(type_)})"


def _name(type_: IcebergType) -> str:
    """Return the name of a type in Spark SQL."""
    from pyiceberg.types import ListType, MapType, StructType

    if isinstance(type_, StructType):
        members = ", ".join(f"`{field.name}`: {_name(field.field_type)}" for field in type_.fields)
        return f"STRUCT<{members}>"
    if isinstance(type_, ListType):
        return f"ARRAY<{_name(type_.element_type)}>"
    if isinstance(type_, MapType):
        return f"MAP<{_name(type_.key_type)}, {_name(type_.value_type)}>"
    # Iceberg's timestamptz is Spark's timestamp; decimals and the rest are called alike.
    names = {"long": "BIGINT", "timestamptz": "TIMESTAMP", "timestamp": "TIMESTAMP_NTZ", "uuid": "STRING"}
    text = str(type_)
    return names.get(text, "BINARY" if text.startswith("fixed") else text.upper().replace(" ", ""))
