"""Bringing a table that exists to what is declared today: in its metadata alone, so no row is rewritten.

A column that is new is added at the end and is null in the rows that are there; readers that never heard of it go on.
What cannot be done without touching rows is refused. Follows https://iceberg.apache.org/spec/#schema-evolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import TableContractError
from airflow_lakehouse.spark.catalog import find_table
from airflow_lakehouse.spark.create import iceberg_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.update.schema import UpdateSchema
    from pyiceberg.types import IcebergType, NestedField

    from airflow_lakehouse.tables import Table

_ATTEMPTS: Final = 3


def evolve(catalog: Catalog, tables: Iterable[Table]) -> list[str]:
    """Add the columns that tables lack, widen the types that may be widened, and allow null where it is declared.

    Columns that nobody declares stay.

    :param catalog: the catalog.
    :param tables: declared tables; those that do not exist are passed over.
    :return: what was done, as ``table.column``.
    :raises TableContractError: when a column has another type and cannot become the declared one, or is new, required
        and the table has rows.
    """
    once = {table.identifier: table for table in tables}
    return [f"{identifier}.{name}" for identifier, table in once.items() for name in _evolve(catalog, table)]


def _evolve(catalog: Catalog, table: Table) -> list[str]:
    for attempt in range(1, _ATTEMPTS + 1):
        found = find_table(catalog, table.identifier)
        steps = _steps(table, found) if found else []
        if found is None or not steps or _commit(found, steps, last=attempt == _ATTEMPTS):
            return [name for name, _ in steps]
    return []


def _commit(table: IcebergTable, steps: list[tuple[str, Any]], *, last: bool) -> bool:
    from pyiceberg.exceptions import CommitFailedException

    try:
        with table.update_schema(allow_incompatible_changes=True) as update:
            for _, step in steps:
                step(update)
    except CommitFailedException:
        # Another process may have made the same change: look again at what is left to do.
        if last:
            raise
        return False
    return True


def _steps(table: Table, found: IcebergTable) -> list[tuple[str, Any]]:
    """Return column and change for everything that differs."""
    present = {field.name: field for field in found.schema().fields}
    steps = []
    for field in iceberg_schema(table).fields:
        step = _added(table, found, field) if field.name not in present else _changed(table, present[field.name], field)
        if step is not None:
            steps.append((field.name, step))
    return steps


def _added(table: Table, found: IcebergTable, field: NestedField) -> Any:
    if field.required and found.current_snapshot() is not None:
        raise TableContractError(
            f"table {table.identifier!r} lacks the required column {field.name!r}, and has rows",
            remedy="declare the column without required=True, or make the table anew",
        )

    def step(update: UpdateSchema) -> None:
        update.add_column(field.name, field.field_type, doc=field.doc, required=field.required)

    return step


def _changed(table: Table, present: NestedField, field: NestedField) -> Any:
    is_same, has_to_allow_null = _same(present.field_type, field.field_type), present.required and not field.required
    if not is_same and not _widens(present.field_type, field.field_type):
        raise TableContractError(
            f"column {field.name!r} of table {table.identifier!r} is {present.field_type}, declared is"
            f" {field.field_type}",
            legal="int to long, float to double, a decimal of more digits",
            remedy="declare it as it is, or under another name",
        )
    if is_same and not has_to_allow_null:
        return None

    def step(update: UpdateSchema) -> None:
        widened, optional = None if is_same else field.field_type, False if has_to_allow_null else None
        update.update_column(field.name, field_type=widened, required=optional)

    return step


def _widens(present: IcebergType, declared: IcebergType) -> bool:
    from pyiceberg.exceptions import ResolveError
    from pyiceberg.schema import promote

    if not present.is_primitive or not declared.is_primitive:
        return False
    try:
        promote(present, declared)
    except ResolveError:
        return False
    return True


def _same(present: IcebergType, declared: IcebergType) -> bool:
    """Tell whether two types are one; the ids of their members differ from table to table."""
    from pyiceberg.types import ListType, MapType, StructType

    if isinstance(present, StructType) and isinstance(declared, StructType):
        members = {field.name: field.field_type for field in present.fields}
        wanted = {field.name: field.field_type for field in declared.fields}
        return members.keys() == wanted.keys() and all(_same(members[name], wanted[name]) for name in wanted)
    if isinstance(present, ListType) and isinstance(declared, ListType):
        return _same(present.element_type, declared.element_type)
    if isinstance(present, MapType) and isinstance(declared, MapType):
        return _same(present.key_type, declared.key_type) and _same(present.value_type, declared.value_type)
    return present == declared
