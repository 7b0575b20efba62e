"""What a job is given and what it gives back; the same from the command line, an operator and a cluster."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze.scope import Scope
from airflow_lakehouse.spark.engine.job_session import staging_root
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.user_code import UserCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_lakehouse.spark.iceberg.heads import Heads

UNCHANGED: Final = "unchanged"
"""Status of a job that found nothing to do."""


@dataclass(frozen=True)
class JobArguments:
    """What a job is given.

    :param profile: the lakehouse.
    :param run_id: who asks; stamped into every commit.
    :param dt: see :class:`airflow_lakehouse.spark.bronze.scope.Scope`.
    :param source_system: see there.
    :param reason: code of the rejects that are tried again; None for all. Only ``replay_quarantine`` looks at it.
    :param max_bad_ratio: share of records, 0 to 1, that may be rejected; None for any.
    :param full: make silver anew from bronze, not from what has changed: all of it, or with ``dt`` or
        ``source_system`` the rows that bronze rows of these days and this source system name. Only
        ``bronze_to_silver`` looks at it, and at the other two only with it.
    :param as_of: make silver from bronze as of a run, a tag or a time; None for now. Only ``bronze_to_silver`` looks at
        it.
    :param accept: checks of silver whose failure does not keep it from its readers; or their names with commas between.
        Only ``bronze_to_silver`` looks at it.
    :param policy: when something is due. Only ``maintain`` looks at it; as an object, or as its fields.
    :param code: the function or script to run; as an object, or as its fields. Only ``user_code`` looks at it.
    :param tables: namespaces and names of the tables whose snapshots the result tells, before and after.
    :raises ConfigurationError: for a ratio that is none, a ``full`` that is neither true nor false, a part of silver
        that is to be made as of another moment than the rest, or a policy that makes no sense.
    :raises InputError: for a ``dt`` that names no days.
    """

    profile: Profile
    run_id: str = field(default_factory=lambda: f"run-{uuid.uuid4().hex[:12]}")
    dt: str | None = None
    source_system: str | None = None
    reason: str | None = None
    max_bad_ratio: float | None = None
    full: bool = False
    as_of: str | None = None
    accept: tuple[str, ...] = ()
    policy: MaintenancePolicy = field(default_factory=MaintenancePolicy)
    code: UserCode | None = None
    tables: tuple[str, ...] = ()
    _attempt: str = field(init=False, repr=False, compare=False, default_factory=lambda: uuid.uuid4().hex[:8])

    def __post_init__(self) -> None:
        """Read what a template or a JSON file may have given as text."""
        object.__setattr__(self, "full", _as_switch(self.full))
        object.__setattr__(self, "accept", _as_names(self.accept))
        if self.max_bad_ratio is not None:
            object.__setattr__(self, "max_bad_ratio", as_ratio(self.max_bad_ratio))
        if not isinstance(self.policy, MaintenancePolicy):
            object.__setattr__(self, "policy", MaintenancePolicy.from_dict(self.policy or {}))
        if self.code is not None and not isinstance(self.code, UserCode):
            object.__setattr__(self, "code", UserCode.from_dict(self.code))
        object.__setattr__(self, "tables", tuple(self.tables or ()))
        # Read in any case: a wrong day is said before anything is done, also by a job that does not look at it.
        scope = self.scope
        if self.full and scope and self.as_of is not None:
            raise ConfigurationError(
                f"silver cannot be made as of {self.as_of!r} for {scope} alone",
                legal="as_of for all of silver, or full with dt or source_system for now",
            )

    @property
    def scope(self) -> Scope:
        """The part of the drop, or of bronze, that was asked for."""
        return Scope(self.dt or None, self.source_system or None)

    @property
    def staging_area(self) -> str:
        """URI of the folder in which this attempt at the run keeps what it needs twice.

        Not the run's: an attempt that was taken for dead, and its successor, would delete it under one another.
        """
        return f"{staging_root(self.profile)}/{self.run_id}-{self._attempt}"

    def stamps(self, job: str) -> dict[str, str]:
        """Return what each commit of a job says of it, by names below the common prefix: run, job and try.

        A try is one start of the job, whoever started it: a zombie and its successor have one run and two of these.

        :param job: its name.
        """
        return {"run-id": self.run_id, "job": job, "try": self._attempt}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> JobArguments:
        """Build the arguments from JSON values.

        :param values: fields of this class; the profile as a mapping.
        :raises ConfigurationError: for a field that does not exist.
        """
        legal = [one.name for one in fields(cls) if one.init]
        strangers = sorted(set(values) - set(legal))
        if strangers or "profile" not in values:
            raise ConfigurationError(
                f"job arguments have {', '.join(strangers) or 'no profile'}", legal=", ".join(legal)
            )
        return cls(**{**values, "profile": Profile.from_dict(values["profile"])})


def as_ratio(value: object) -> float:
    """Return a share of records, 0 to 1.

    :param value: a number, or its text.
    :raises ConfigurationError: when it is none.
    """
    try:
        ratio = float(str(value))
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ConfigurationError(f"max_bad_ratio is {value!r}", legal="a number from 0 to 1, such as 0.01")
    return ratio


def _as_switch(value: object) -> bool:
    switches = {"true": True, "false": False, "": False, "none": False}
    text = str(value).lower()
    if text not in switches:
        raise ConfigurationError(f"full is {value!r}", legal="true or false")
    return switches[text]


def _as_names(value: str | Iterable[str] | None) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value or ()
    return tuple(name.strip() for name in names if name.strip())


@dataclass
class JobResult:
    """What a job reports: counts and names, never content.

    :param run_id: the run.
    :param status: ``complete`` or ``unchanged``.
    :param batch_id: batch that was loaded, if any.
    :param files: found, loaded, skipped, quarantined (and waiting, for documents not read yet; returned, for those
        of the skipped that are back in their place).
    :param records: read, bronze, quarantine.
    :param tables: table name to rows, added, updated, deleted.
    :param quarantine: reason to count, of this run.
    :param attachments: outcome to attachments looked at, see ``bronze_attachments``.
    :param totals: silver table to class to rows of its bronze table, over all runs.
    :param steps: maintenance that was due, and why.
    :param snapshots: table that was asked for and has changed, to its snapshots ``before`` and ``after``.
    :param values: what a job of the user's own reported.
    :param reconciled: whether every record is in exactly one class.
    :param seconds: stage to seconds.
    """

    run_id: str
    status: str = "complete"
    batch_id: str | None = None
    files: dict[str, int] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    quarantine: dict[str, int] = field(default_factory=dict)
    attachments: dict[str, int] = field(default_factory=dict)
    totals: dict[str, dict[str, int]] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    snapshots: dict[str, Heads] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    reconciled: bool = True
    seconds: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return asdict(self)
