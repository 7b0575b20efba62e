"""What a job left behind: an error of the right class, or counts small enough for XCom."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse import exceptions, tables
from airflow_lakehouse.exceptions import JobCancelledError, JobError, LakehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse.hooks.spark import JobHandle, JobStatus

_MOST: Final = 100
"""How many tables or reasons an XCom lists at most."""


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """What a job did to one table, and what else of whole numbers it says of it; None for what it does not say.

    :param rows: in the table now.
    :param added: new rows.
    :param updated: rows that changed.
    :param deleted: rows that are gone.
    :param snapshot_id: what readers see now; None where the job's outlets do not name the table.
    :param snapshot_before: what they saw before; None also where the table was not there.
    :param more: further counts, such as those of maintenance.
    """

    rows: int | None = None
    added: int | None = None
    updated: int | None = None
    deleted: int | None = None
    snapshot_id: int | None = None
    snapshot_before: int | None = None
    more: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, counts: Mapping[str, Any], snapshots: Mapping[str, Any]) -> TableOutcome:
        """Build it from what a job reported.

        :param counts: of the table; what is no whole number is left out.
        :param snapshots: ``before`` and ``after``, or nothing.
        """
        numbers = _numbers(counts)
        known = {name: numbers.pop(name) for name in ("rows", "added", "updated", "deleted") if name in numbers}
        seen = _numbers(snapshots)
        return cls(**known, snapshot_id=seen.get("after"), snapshot_before=seen.get("before"), more=numbers)

    def as_dict(self) -> dict[str, int]:
        """Return what is known as JSON values."""
        given = {**asdict(self), **self.more}
        return {name: value for name, value in given.items() if isinstance(value, int)}


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The result of a Spark task: counts and names, never content.

    :param job: name of the job.
    :param job_id: the runner's id of it; empty where none was needed.
    :param runner: where it ran.
    :param attempt: how many times the service started it.
    :param status: ``complete``, ``unchanged``; ``running`` for a task that does not wait.
    :param run_id: the run.
    :param batch_id: the batch that was loaded, or empty.
    :param tables: name to what became of it.
    :param quarantine: reason to rejected records.
    :param files: ``found``, ``loaded``, ``skipped``, ``quarantined``.
    :param values: what a function or script of the user's own reported.
    :param resources: what the service bills, by names that end in their unit, such as ``vcpu_hours``.
    """

    job: str
    job_id: str = ""
    runner: str = ""
    attempt: int = 1
    status: str = ""
    run_id: str = ""
    batch_id: str = ""
    tables: dict[str, TableOutcome] = field(default_factory=dict)
    quarantine: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, handle: JobHandle, result: Mapping[str, Any], attempt: int = 1) -> JobOutcome:
        """Build it from what a job reported. Whatever else that holds stays where it is.

        :param handle: the job.
        :param result: as the runner gives it.
        :param attempt: how many times the service started it.
        """
        return cls(
            job=handle.job,
            job_id=handle.job_id,
            runner=handle.runner,
            attempt=attempt,
            status=str(result.get("status", "")),
            run_id=str(result.get("run_id", "")),
            batch_id=str(result.get("batch_id") or ""),
            tables=_tables(result),
            quarantine=_numbers(dict(_items(result, "quarantine"))),
            files=_numbers(dict(_items(result, "files"))),
            values=dict(result.get("values") or {}),
            resources={name: float(value) for name, value in _items(result, "resources") if _is_number(value)},
        )

    @property
    def rejected(self) -> int:
        """Records in quarantine."""
        return sum(self.quarantine.values())

    def total(self, count: str) -> int:
        """Return the sum of a count over all tables.

        :param count: a field of :class:`TableOutcome`.
        """
        return sum(getattr(table, count) or 0 for table in self.tables.values())

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values, for XCom: the fields, and ``rejected`` and sums over all tables."""
        totals = {name: self.total(name) for name in ("rows", "added", "updated", "deleted")}
        by_table = {name: table.as_dict() for name, table in self.tables.items()}
        return {**asdict(self), "tables": by_table, **totals, "rejected": self.rejected}


def job_failure(job: str, status: JobStatus, link: str = "") -> LakehouseError:
    """Return the error a job ended with, of the class it was raised as where that is one of ours.

    :param job: name of the job.
    :param status: a state that is neither running nor succeeded.
    :param link: where more can be read.
    """
    kind = error_class(status.error_type)
    where = f"see {link}" if link else None
    if issubclass(kind, JobCancelledError):
        return JobCancelledError(f"job {job!r} was stopped", remedy=where or "clear the task to run it again")
    return kind(f"job {job!r} failed: {status.reason or 'no reason given'}", remedy=where)


def error_class(name: str) -> type[LakehouseError]:
    """Return the class of that name in :mod:`airflow_lakehouse.exceptions`; ``JobError`` for any other.

    :param name: as a job or an event says it.
    """
    kind = getattr(exceptions, name, JobError)
    return kind if isinstance(kind, type) and issubclass(kind, LakehouseError) else JobError


def _tables(result: Mapping[str, Any]) -> dict[str, TableOutcome]:
    """Join the counts of tables, by their names, with their snapshots, by namespace and name."""
    counts = {str(name): dict(given) for name, given in _items(result, "tables")}
    snapshots = {str(name): dict(given) for name, given in _items(result, "snapshots")}
    short = {table.identifier: table.name for table in tables.ALL}
    named = {short.get(name, name): given for name, given in snapshots.items()}
    names = list(dict.fromkeys([*counts, *named]))[:_MOST]
    return {name: TableOutcome.of(counts.get(name, {}), named.get(name, {})) for name in names}


def _items(result: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    return list((result.get(name) or {}).items())[:_MOST]


def _numbers(values: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): value for name, value in values.items() if isinstance(value, int)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
