"""What a job is given and what it gives back; the same from the command line, an operator and a cluster."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.discovery import Scope


@dataclass(frozen=True)
class JobArguments:
    """What a job is given.

    :param profile: the lakehouse.
    :param run_id: who asks; stamped into every commit.
    :param dt: see :class:`airflow_lakehouse.spark.discovery.Scope`.
    :param source_system: see there.
    """

    profile: Profile
    run_id: str = field(default_factory=lambda: f"run-{uuid.uuid4().hex[:12]}")
    dt: str | None = None
    source_system: str | None = None

    @property
    def scope(self) -> Scope:
        """The part of the drop that was asked for."""
        return Scope(self.dt or None, self.source_system or None)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> JobArguments:
        """Build the arguments from JSON values.

        :param values: fields of this class; the profile as a mapping.
        :raises ConfigurationError: for a field that does not exist.
        """
        strangers = sorted(set(values) - set(cls.__dataclass_fields__))
        if strangers or "profile" not in values:
            raise ConfigurationError(
                f"job arguments have {', '.join(strangers) or 'no profile'}", legal=", ".join(cls.__dataclass_fields__)
            )
        return cls(**{**values, "profile": Profile.from_dict(values["profile"])})


@dataclass
class JobResult:
    """What a job reports: counts and names, never content.

    :param run_id: the run.
    :param status: ``complete`` or ``unchanged``.
    :param batch_id: batch that was loaded, if any.
    :param files: found, loaded, skipped, quarantined (and waiting, for documents not read yet).
    :param records: read, bronze, quarantine.
    :param tables: table name to rows, added, updated, deleted.
    :param quarantine: reason to count, of this run.
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
    reconciled: bool = True
    seconds: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return asdict(self)
