"""Wait for files in a raw drop."""

from __future__ import annotations

from airflow_lakehouse.hooks.object_versions import VersionsLook
from airflow_lakehouse.hooks.raw_drop import RawDropLook, RawPartitionLook
from airflow_lakehouse.hooks.s3_events import EventsLook
from airflow_lakehouse.triggers.base import FindingTrigger


class RawDropTrigger(FindingTrigger):
    """Fire when a drop holds enough files; see :class:`~airflow_lakehouse.hooks.raw_drop.RawDropLook`."""

    look_class = RawDropLook


class RawPartitionTrigger(FindingTrigger):
    """Fire when a day is there and complete; see :class:`~airflow_lakehouse.hooks.raw_drop.RawPartitionLook`."""

    look_class = RawPartitionLook


class RawVersionsTrigger(FindingTrigger):
    """Fire when a listing shows new versions; see :class:`~airflow_lakehouse.hooks.object_versions.VersionsLook`."""

    look_class = VersionsLook


class RawEventsTrigger(FindingTrigger):
    """Fire when a queue tells of new versions; see :class:`~airflow_lakehouse.hooks.s3_events.EventsLook`."""

    look_class = EventsLook
