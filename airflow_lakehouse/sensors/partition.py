"""Wait for a partition of an Iceberg table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_lakehouse.hooks.profile import DEFAULT_CONN_ID
from airflow_lakehouse.sensors.base import FindingSensor
from airflow_lakehouse.triggers.partition import IcebergPartitionTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping


class IcebergPartitionSensor(FindingSensor):
    """Wait until a partition of an Iceberg table holds rows.

    Reads Iceberg's own metadata. The Glue catalog's partition list stays empty for Iceberg tables, so a sensor that
    asks it waits for ever. A table that does not exist yet is not ready, never an error.

    Returns ``table``, ``partition``, ``snapshot_id``, ``snapshot_time``, ``rows`` and ``files``.

    :param table: with or without its namespace. (templated)
    :param partition: column to value, such as ``{"dt": "{{ ds }}"}``; partition columns alone. (templated)
    :param min_rows: how many rows there must be.
    :param lakehouse_conn_id: connection of the catalog, of any type of :mod:`airflow_lakehouse.hooks.iceberg`.
        (templated)
    :param aws_conn_id: Airflow's AWS connection for Glue and S3; by default what the connection of the catalog says,
        or what boto3 finds. (templated)
    """

    template_fields = ("table", "partition", "lakehouse_conn_id", "aws_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"partition": "json"}
    ui_color = "#e6f1f2"
    trigger_class = IcebergPartitionTrigger

    def __init__(
        self,
        *,
        table: str,
        partition: Mapping[str, Any],
        min_rows: int = 1,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.partition = partition
        self.min_rows = min_rows
        self.lakehouse_conn_id = lakehouse_conn_id
        self.aws_conn_id = aws_conn_id
