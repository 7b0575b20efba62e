"""Every table of the lakehouse, each stated once.

======== ==========================================================
module   what it holds
======== ==========================================================
spec     what a table is: Column, Partition, Keep, Table
bronze   tables close to the source, and the columns they share
silver   typed, deduplicated tables
ops      the file ledger, drift and reconciliation
======== ==========================================================

Gold is dbt's: its models state it.
"""

from __future__ import annotations

from typing import Final

from airflow_lakehouse.exceptions import TableNotFoundError
from airflow_lakehouse.tables import bronze, ops, silver
from airflow_lakehouse.tables.spec import NAMESPACES, Column, Keep, Partition, Table

ALL: Final = (*bronze.TABLES, *silver.TABLES, *ops.TABLES)
"""Every table, sources before what reads them."""

__all__ = ["ALL", "NAMESPACES", "Column", "Keep", "Partition", "Table", "bronze", "by_name", "ops", "silver"]


def by_name(name: str) -> Table:
    """Return a table by its name, with or without the namespace.

    :param name: such as ``silver_dim_patient`` or ``silver.silver_dim_patient``.
    :raises TableNotFoundError: when there is none.
    """
    for table in ALL:
        if name in (table.name, table.identifier):
            return table
    raise TableNotFoundError(f"no table is defined as {name!r}", legal=", ".join(table.name for table in ALL))
