"""Wait for a partition of an Iceberg table."""

from __future__ import annotations

from airflow_lakehouse.hooks.partitions import PartitionLook
from airflow_lakehouse.triggers.base import FindingTrigger


class IcebergPartitionTrigger(FindingTrigger):
    """Fire when a partition holds enough rows; see :class:`~airflow_lakehouse.hooks.partitions.PartitionLook`."""

    look_class = PartitionLook
