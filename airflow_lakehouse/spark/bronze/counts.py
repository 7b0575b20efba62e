"""What was counted in a run, kept in ``ops.reconciliation``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_lakehouse.spark.storage.catalog import find_table
from airflow_lakehouse.tables import ops

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

Count = tuple[str, str, str, int]
"""Stage, table, class, rows."""


def record(catalog: Catalog, counts: list[Count], run_id: str) -> None:
    """Append counts to ``ops.reconciliation``.

    :param catalog: the catalog.
    :param counts: what was counted.
    :param run_id: the run.
    """
    import pyarrow as pa

    target = find_table(catalog, ops.RECONCILIATION.identifier)
    if target is None or not counts:
        return
    now = datetime.now(UTC)
    rows = [
        {"run_id": run_id, "stage": stage, "table_name": table, "class": class_, "rows": count, "recorded_at": now}
        for stage, table, class_, count in counts
    ]
    target.append(pa.Table.from_pylist(rows, schema=target.schema().as_arrow()))
