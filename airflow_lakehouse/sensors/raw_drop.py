"""Wait for files in a raw drop."""

from __future__ import annotations

from typing import Any

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.lakehouse import LakehouseHook
from airflow_lakehouse.hooks.profile import DEFAULT_CONN_ID
from airflow_lakehouse.hooks.raw_drop import QUIET_SECONDS, RawDropLook, RawPartitionLook
from airflow_lakehouse.sensors.base import FindingSensor
from airflow_lakehouse.triggers.raw_drop import RawDropTrigger, RawPartitionTrigger


class RawDropSensor(FindingSensor):
    """Wait until a raw drop holds files, on this machine or in S3.

    Returns ``raw``, ``files``, ``bytes``, ``kinds`` (``fhir``, ``docs`` and ``other``, each with files and bytes) and
    ``dt`` (the days that were found). No file is named: a drop may hold millions.

    :param raw: root of the drop; by default the connection's. (templated)
    :param dt: days, ``YYYY-MM-DD`` or ``FIRST..LAST`` (:meth:`airflow_lakehouse.days.Days.parse`); by default all of
        them. Of a range, one day with enough files will do. (templated)
    :param min_files: how many files there must be.
    :param settle_seconds: how long no file may have changed; for drops that are written file by file.
    :param lakehouse_conn_id: connection with the profile. (templated)
    :param aws_conn_id: Airflow's AWS connection for drops in S3; None takes what boto3 finds. (templated)
    """

    template_fields = ("raw", "dt", "lakehouse_conn_id", "aws_conn_id")
    ui_color = "#e6f1f2"
    trigger_class = RawDropTrigger

    def __init__(  # noqa: PLR0913 - what users set; each has a default
        self,
        *,
        raw: str | None = None,
        dt: str | None = None,
        min_files: int = 1,
        settle_seconds: float = 0.0,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.raw = raw
        self.dt = dt
        self.min_files = min_files
        self.settle_seconds = settle_seconds
        self.lakehouse_conn_id = lakehouse_conn_id
        self.aws_conn_id = aws_conn_id

    def look(self) -> RawDropLook:
        """Return what looks for the files.

        :raises ConfigurationError: when neither the sensor nor the connection names a drop.
        """
        # A template that finds no value asks for every day, not for one called None.
        dt = None if self.dt in (None, "", "None") else self.dt
        raw = self.raw or drop_of(self.lakehouse_conn_id)
        return RawDropLook(raw, dt, self.min_files, self.settle_seconds, self.aws_conn_id)


class RawPartitionSensor(FindingSensor):
    """Wait until a day of a raw drop is there and complete, on this machine or in S3.

    A day is a ``dt=`` folder in each kind and source that has one; all of those that are there must be complete.

    Returns ``raw``, ``dt``, ``files``, ``bytes``, ``folders`` (each with files, bytes and whether it is complete) and
    ``missing`` (kinds without a folder).

    :param dt: the day, ``YYYY-MM-DD``. (templated)
    :param raw: root of the drop; by default the connection's. (templated)
    :param kinds: kinds that must be there, such as ``["fhir"]``; by default any will do. (templated)
    :param marker: name of the file by which writers say that a folder is complete, such as ``_SUCCESS``; by default
        the quiet period decides. (templated)
    :param quiet_seconds: without a marker: how long no file of a folder may have changed.
    :param min_files: how many files there must be in all.
    :param lakehouse_conn_id: connection with the profile. (templated)
    :param aws_conn_id: Airflow's AWS connection for drops in S3; None takes what boto3 finds. (templated)
    """

    template_fields = ("dt", "raw", "kinds", "marker", "lakehouse_conn_id", "aws_conn_id")
    ui_color = "#e6f1f2"
    trigger_class = RawPartitionTrigger

    def __init__(  # noqa: PLR0913 - what users set; each has a default
        self,
        *,
        dt: str,
        raw: str | None = None,
        kinds: list[str] | None = None,
        marker: str | None = None,
        quiet_seconds: float = QUIET_SECONDS,
        min_files: int = 1,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dt = dt
        self.raw = raw
        self.kinds = kinds
        self.marker = marker
        self.quiet_seconds = quiet_seconds
        self.min_files = min_files
        self.lakehouse_conn_id = lakehouse_conn_id
        self.aws_conn_id = aws_conn_id

    def look(self) -> RawPartitionLook:
        """Return what looks for the day.

        :raises ConfigurationError: when neither the sensor nor the connection names a drop.
        """
        return RawPartitionLook(
            self.raw or drop_of(self.lakehouse_conn_id),
            self.dt,
            self.kinds,
            self.marker,
            self.quiet_seconds,
            self.min_files,
            self.aws_conn_id,
        )


def drop_of(lakehouse_conn_id: str) -> str:
    """Return the root of the drop a connection names.

    :param lakehouse_conn_id: connection with the profile.
    :raises ConfigurationError: when it names none.
    """
    raw = LakehouseHook(lakehouse_conn_id).get_profile().raw
    if not raw:
        raise ConfigurationError(
            f"neither the sensor nor connection {lakehouse_conn_id!r} names a raw drop",
            remedy="set 'raw' in the connection, or give the sensor one",
        )
    return raw
