"""Wait for what is committed to an Iceberg table."""

from __future__ import annotations

from airflow_lakehouse.hooks.snapshots import FreshnessLook, RowCountLook, SnapshotLook
from airflow_lakehouse.triggers.base import FindingTrigger


class IcebergSnapshotTrigger(FindingTrigger):
    """Fire when data was committed; see :class:`~airflow_lakehouse.hooks.snapshots.SnapshotLook`."""

    look_class = SnapshotLook


class IcebergFreshnessTrigger(FindingTrigger):
    """Fire when data was committed lately; see :class:`~airflow_lakehouse.hooks.snapshots.FreshnessLook`."""

    look_class = FreshnessLook


class IcebergRowCountTrigger(FindingTrigger):
    """Fire when a table has enough rows; see :class:`~airflow_lakehouse.hooks.snapshots.RowCountLook`."""

    look_class = RowCountLook
