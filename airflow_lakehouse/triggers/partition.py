"""Wait for a partition of an Iceberg table."""

from __future__ import annotations

from typing import Any

from airflow_lakehouse.hooks.lakehouse import DEFAULT_CONN_ID, LakehouseHook
from airflow_lakehouse.hooks.partitions import look_for
from airflow_lakehouse.triggers.base import FindingTrigger


class IcebergPartitionTrigger(FindingTrigger):
    """Fire when a partition holds enough rows.

    :param table: namespace and name.
    :param partition: column to value.
    :param min_rows: how many rows there must be.
    :param lakehouse_conn_id: connection with the profile.
    """

    def __init__(
        self,
        table: str,
        partition: dict[str, Any],
        min_rows: int = 1,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.table = table
        self.partition = partition
        self.min_rows = min_rows
        self.lakehouse_conn_id = lakehouse_conn_id

    def look(self) -> tuple[bool, dict[str, Any]]:
        """Read the table's metadata once."""
        profile = LakehouseHook(self.lakehouse_conn_id).get_profile()
        found = look_for(profile, self.table, self.partition)
        return found.rows >= self.min_rows, found.as_dict()

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of this trigger."""
        return {
            "table": self.table,
            "partition": self.partition,
            "min_rows": self.min_rows,
            "lakehouse_conn_id": self.lakehouse_conn_id,
        }
