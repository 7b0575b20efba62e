"""What a job changed, told to Airflow's assets: snapshots, counts and partitions in their events."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.assets import table_of
from airflow_lakehouse.days import Days

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.operators.outcome import JobOutcome

_MOST_PARTITIONS: Final = 366


def report_assets(context: Context, outlets: Iterable[Any], outcome: JobOutcome, dt: str | None) -> None:
    """Write into the event of each changed table's asset what has changed.

    :param context: the task's context; Airflow has no events in it where the task has no outlets.
    :param outlets: the task's.
    :param outcome: what the job did.
    :param dt: the days the job was about, or None.
    """
    events = context.get("outlet_events")
    if events is None:
        return
    for asset in outlets:
        identifier = table_of(asset) or ""
        table = outcome.tables.get(identifier) or outcome.tables.get(identifier.rpartition(".")[2])
        if not identifier or table is None:
            continue
        event = events[asset]
        event.extra = {"batch_id": outcome.batch_id, "run_id": outcome.run_id, **table.as_dict()}
        # Asset partitions came with Airflow 3.2.
        if hasattr(event, "add_partitions") and (keys := partition_keys(dt)):
            event.add_partitions(keys)


def partition_keys(dt: str | None) -> list[str]:
    """Return the days as keys of asset partitions; none for a range without both ends, or of more than a year.

    :param dt: as :meth:`airflow_lakehouse.days.Days.parse` takes them, or nothing.
    """
    if dt in (None, "", "None"):
        return []
    days = Days.parse(str(dt))
    if not days.first or not days.last or (days.last - days.first).days >= _MOST_PARTITIONS:
        return []
    return [str(days.first + timedelta(number)) for number in range((days.last - days.first).days + 1)]
