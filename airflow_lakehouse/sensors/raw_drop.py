"""Wait for files in a raw drop."""

from __future__ import annotations

from typing import Any

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.lakehouse import DEFAULT_CONN_ID, LakehouseHook
from airflow_lakehouse.sensors.base import FindingSensor
from airflow_lakehouse.triggers.raw_drop import RawDropTrigger


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

    def make_trigger(self, deadline: float) -> RawDropTrigger:
        """Return the trigger that looks for the same files.

        :param deadline: when to give up, in seconds since the epoch.
        :raises ConfigurationError: when neither the sensor nor the connection names a drop.
        """
        raw = self.raw or LakehouseHook(self.lakehouse_conn_id).get_profile().raw
        if not raw:
            raise ConfigurationError(
                f"neither the sensor nor connection {self.lakehouse_conn_id!r} names a raw drop",
                remedy="set 'raw' in the connection, or give the sensor one",
            )
        return RawDropTrigger(
            raw,
            None if self.dt in (None, "", "None") else self.dt,
            self.min_files,
            self.settle_seconds,
            self.aws_conn_id,
            poll_seconds=self.poke_interval,
            deadline=deadline,
        )
