"""Watch for news, so that a DAG runs when there is some: triggers for ``AssetWatcher`` (Airflow 3 and newer)."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_lakehouse.hooks.object_versions import VersionsLook
from airflow_lakehouse.hooks.s3_events import EventsLook
from airflow_lakehouse.hooks.snapshots import SnapshotLook
from airflow_lakehouse.triggers.base import WatchingTrigger

_ONE_DAY = 86400.0


class NewSnapshotsTrigger(WatchingTrigger):
    """Tell of every commit of data; see :class:`~airflow_lakehouse.hooks.snapshots.SnapshotLook`."""

    look_class = SnapshotLook
    defaults: ClassVar[dict[str, Any]] = {"lookback_seconds": _ONE_DAY}


class NewVersionsTrigger(WatchingTrigger):
    """Tell of new objects by listing; see :class:`~airflow_lakehouse.hooks.object_versions.VersionsLook`."""

    look_class = VersionsLook
    defaults: ClassVar[dict[str, Any]] = {"lookback_seconds": _ONE_DAY}


class NewEventsTrigger(WatchingTrigger):
    """Tell of new objects by S3's events in a queue; see :class:`~airflow_lakehouse.hooks.s3_events.EventsLook`."""

    look_class = EventsLook
