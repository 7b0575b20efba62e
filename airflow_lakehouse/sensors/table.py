"""Wait for what is committed to an Iceberg table, by its metadata.

None of them takes compaction or an empty commit for data, and all of them wait for a table that does not exist yet.
"""

from __future__ import annotations

from typing import Any

from airflow_lakehouse.hooks.profile import DEFAULT_CONN_ID
from airflow_lakehouse.hooks.snapshots import MAIN
from airflow_lakehouse.sensors.base import FindingSensor
from airflow_lakehouse.triggers.table import IcebergFreshnessTrigger, IcebergRowCountTrigger, IcebergSnapshotTrigger

_TABLE_FIELDS = ("table", "branch", "lakehouse_conn_id", "aws_conn_id")


class TableSensor(FindingSensor):
    """Wait for something about one table.

    :param table: with or without its namespace. (templated)
    :param branch: branch of the table. (templated)
    :param lakehouse_conn_id: connection of the catalog, of any type of :mod:`airflow_lakehouse.hooks.iceberg`.
        (templated)
    :param aws_conn_id: Airflow's AWS connection for Glue and S3; by default what the connection of the catalog says,
        or what boto3 finds. (templated)
    """

    template_fields: Any = _TABLE_FIELDS
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        table: str,
        branch: str = MAIN,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.branch = branch
        self.lakehouse_conn_id = lakehouse_conn_id
        self.aws_conn_id = aws_conn_id


class IcebergSnapshotSensor(TableSensor):
    """Wait until data was committed to a table.

    Returns ``table``, ``branch``, ``snapshot_id``, ``snapshot_time`` and ``operation`` of the newest such commit, and
    of all of them ``snapshot_ids`` (oldest first, the last hundred), ``snapshots``, ``rows_added`` and
    ``rows_deleted``, as their summaries count them.

    :param table: with or without its namespace. (templated)
    :param since: only commits from this moment on count, such as ``{{ data_interval_start }}``. (templated)
    :param after_snapshot_id: only commits after this snapshot count, such as another task's result. (templated)
    """

    template_fields = (*_TABLE_FIELDS, "since", "after_snapshot_id")
    trigger_class = IcebergSnapshotTrigger
    lookback_seconds = None

    def __init__(
        self,
        *,
        table: str,
        since: str | float | None = None,
        after_snapshot_id: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(table=table, **kwargs)
        self.since = since
        self.after_snapshot_id = after_snapshot_id


class IcebergFreshnessSensor(TableSensor):
    """Wait until the newest commit of data is young enough.

    Returns ``table``, ``branch``, ``snapshot_id``, ``snapshot_time``, ``operation`` and ``age_seconds``.

    :param table: with or without its namespace. (templated)
    :param max_age_seconds: how old it may be. (templated)
    """

    template_fields = (*_TABLE_FIELDS, "max_age_seconds")
    trigger_class = IcebergFreshnessTrigger

    def __init__(self, *, table: str, max_age_seconds: float | str = 86400.0, **kwargs: Any) -> None:
        super().__init__(table=table, **kwargs)
        self.max_age_seconds = max_age_seconds


class IcebergRowCountSensor(TableSensor):
    """Wait until a table has so many rows. Deleted rows do not count, and no data file is opened.

    Returns ``table``, ``branch``, ``snapshot_id``, ``snapshot_time``, ``operation`` and ``rows``.

    :param table: with or without its namespace. (templated)
    :param min_rows: fewest rows that will do. (templated)
    :param max_rows: most rows that will do; by default any number. (templated)
    """

    template_fields = (*_TABLE_FIELDS, "min_rows", "max_rows")
    trigger_class = IcebergRowCountTrigger

    def __init__(
        self, *, table: str, min_rows: int | str = 1, max_rows: int | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(table=table, **kwargs)
        self.min_rows = min_rows
        self.max_rows = max_rows
