"""Creating tables without Spark: twenty of them in a second instead of a quarter of a minute."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.spark.iceberg import declared

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import Transform

    from airflow_lakehouse.tables import Partition, Table

_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_MEMBER = re.compile(r"(\w+):(\w+(?:\([^)]*\))?)")


def create_table(catalog: Catalog, table: Table) -> None:
    """Create a table where it does not exist; another process may create it at the same time.

    :param catalog: the catalog; the namespace exists.
    :param table: what to create.
    """
    fields = iceberg_schema(table)
    properties = {**declared.properties(table), declared.NOTE: declared.note(table)}
    catalog.create_table_if_not_exists(
        table.identifier, fields, partition_spec=partition_spec(table, fields), properties=properties
    )


def iceberg_schema(table: Table) -> Schema:
    """Return the Iceberg schema of a table.

    :param table: the table.
    """
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField

    # Elements of arrays and maps take ids too; they begin after those of the columns.
    nested = iter(range(len(table.columns) + 1, 10_000))
    return Schema(
        *(
            NestedField(number, column.name, _type(column.type, nested), required=column.required, doc=column.doc)
            for number, column in enumerate(table.columns, 1)
        )
    )


def partition_spec(table: Table, fields: Schema) -> PartitionSpec:
    """Return the Iceberg partition spec of a table.

    :param table: the table.
    :param fields: its schema.
    """
    from pyiceberg.partitioning import PartitionField, PartitionSpec

    return PartitionSpec(
        *(
            PartitionField(fields.find_field(one.column).field_id, 1000 + number, transform_of(one), one.field_name)
            for number, one in enumerate(table.partitions)
        )
    )


def transform_of(partition: Partition) -> Transform[Any, Any]:
    """Return the Iceberg transform of a partition field.

    :param partition: the field.
    """
    from pyiceberg import transforms

    if partition.width is not None:
        return transforms.BucketTransform(partition.width)
    found: Transform[Any, Any] = getattr(transforms, f"{partition.transform.capitalize()}Transform")()
    return found


def _type(type_: str, ids: Any) -> Any:
    from pyiceberg import types

    simple = {
        "string": types.StringType,
        "boolean": types.BooleanType,
        "int": types.IntegerType,
        "long": types.LongType,
        "double": types.DoubleType,
        "date": types.DateType,
        "timestamp": types.TimestamptzType,
        "binary": types.BinaryType,
    }
    if type_ in simple:
        return simple[type_]()
    decimal = _DECIMAL.fullmatch(type_)
    if decimal:
        return types.DecimalType(int(decimal[1]), int(decimal[2]))
    inner = type_[type_.index("<") + 1 : -1]
    if type_.startswith("struct"):
        return types.StructType(*(_member(member, ids) for member in _MEMBER.findall(inner)))
    number = next(ids)
    if type_.startswith("array"):
        return types.ListType(number, _type(inner, ids), element_required=False)
    key, value = inner.split(",")
    return types.MapType(number, _type(key, ids), next(ids), _type(value, ids), value_required=False)


def _member(member: tuple[str, str], ids: Any) -> Any:
    from pyiceberg.types import NestedField

    return NestedField(next(ids), member[0], _type(member[1], ids), required=False)
