"""Wait for files in a raw drop."""

from __future__ import annotations

from typing import Any

from airflow_lakehouse.hooks.raw_drop import look_at_drop
from airflow_lakehouse.triggers.base import FindingTrigger


class RawDropTrigger(FindingTrigger):
    """Fire when a drop holds enough files.

    :param raw: root of the drop.
    :param dt: days, as :meth:`airflow_lakehouse.days.Days.parse` takes them; None takes all of them.
    :param min_files: how many files there must be.
    :param settle_seconds: how long no file may have changed.
    :param aws_conn_id: Airflow's AWS connection for S3.
    """

    def __init__(
        self,
        raw: str,
        dt: str | None = None,
        min_files: int = 1,
        settle_seconds: float = 0.0,
        aws_conn_id: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.raw = raw
        self.dt = dt
        self.min_files = min_files
        self.settle_seconds = settle_seconds
        self.aws_conn_id = aws_conn_id

    def look(self) -> tuple[bool, dict[str, Any]]:
        """List the drop once."""
        return look_at_drop(
            self.raw,
            dt=self.dt,
            min_files=self.min_files,
            settle_seconds=self.settle_seconds,
            aws_conn_id=self.aws_conn_id,
        )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of this trigger."""
        return {
            "raw": self.raw,
            "dt": self.dt,
            "min_files": self.min_files,
            "settle_seconds": self.settle_seconds,
            "aws_conn_id": self.aws_conn_id,
        }
