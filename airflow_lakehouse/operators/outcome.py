"""What a job left behind: an error of the right class, or counts small enough for XCom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse import exceptions
from airflow_lakehouse.exceptions import JobCancelledError, JobError, LakehouseError

if TYPE_CHECKING:
    from airflow_lakehouse.hooks.spark import JobStatus

_LEFT_OUT: Final = 100
"""How many tables or reasons an XCom lists at most."""


def job_failure(job: str, status: JobStatus) -> LakehouseError:
    """Return the error a job ended with, of the class it was raised as where that is one of ours.

    :param job: name of the job.
    :param status: a state that is neither running nor succeeded.
    """
    kind = getattr(exceptions, status.error_type, JobError)
    if not (isinstance(kind, type) and issubclass(kind, LakehouseError)):
        kind = JobError
    if kind is JobCancelledError:
        return JobCancelledError(f"job {job!r} was stopped", remedy="clear the task to run it again")
    return kind(f"job {job!r} failed: {status.reason or 'no reason given'}")


def small_result(result: dict[str, Any]) -> dict[str, Any]:
    """Return the counts of a job's result. Whatever else it holds stays where it is: XCom is no place for payload.

    :param result: as the job wrote it.
    """
    tables = {str(name): _numbers(counts) for name, counts in _items(result, "tables")}
    return {
        "status": str(result.get("status", "")),
        "run_id": str(result.get("run_id", "")),
        "batch_id": str(result.get("batch_id") or ""),
        "rows": sum(table.get("rows", 0) for table in tables.values()),
        "tables": tables,
        "quarantine": _numbers(dict(_items(result, "quarantine"))),
        "files": _numbers(dict(_items(result, "files"))),
    }


def _items(result: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    return list((result.get(name) or {}).items())[:_LEFT_OUT]


def _numbers(values: dict[str, Any]) -> dict[str, int]:
    return {str(name): value for name, value in values.items() if isinstance(value, int)}
