"""Rows for tests that ask what is done with tables, not what is in them."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.tables import Table


def add_rows(catalog: Catalog, table: Table | str, properties: dict[str, str] | None = None, **values: Any) -> None:
    """Add one row with something in every required column, in a commit that stands alone in its millisecond."""
    found = catalog.load_table(table if isinstance(table, str) else table.identifier)
    schema = found.schema().as_arrow()
    row = {field.name: values.get(field.name, None if field.nullable else _any(field.type)) for field in schema}
    time.sleep(0.002)
    found.append(pa.Table.from_pylist([row], schema=schema), snapshot_properties=properties or {})
    time.sleep(0.002)


def _any(kind: pa.DataType) -> object:
    if pa.types.is_timestamp(kind):
        return datetime(2026, 1, 1, tzinfo=UTC)
    if pa.types.is_date(kind):
        return date(2026, 1, 1)
    if pa.types.is_boolean(kind):
        return False
    return 1 if pa.types.is_integer(kind) or pa.types.is_floating(kind) else "x"
