"""What a runner is: five verbs on a job that outlives whoever asked for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class JobState(StrEnum):
    """Where a job stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobHandle:
    """What finds a job again, from another process or another day. JSON values only.

    :param runner: name of the runner that has the job.
    :param job_id: the runner's id of the job.
    :param job: name of the job, such as ``raw_to_bronze``.
    :param location: where the runner keeps it: a directory, an application id.
    :param host: machine the job is bound to; empty where any machine can ask after it.
    """

    runner: str
    job_id: str
    job: str
    location: str = ""
    host: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the handle as JSON values, for triggers and Airflow's task store."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, str]) -> JobHandle:
        """Build a handle from what :meth:`as_dict` gave.

        :param values: the fields.
        """
        return cls(**values)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """State of a job, and why.

    :param state: where it stands.
    :param reason: for a job that failed, one line without record text; else empty.
    :param error_type: name of the error class in :mod:`airflow_lakehouse.exceptions`, where it is known.
    """

    state: JobState
    reason: str = ""
    error_type: str = ""

    @property
    def is_active(self) -> bool:
        """Whether the job can still change its state."""
        return self.state is JobState.RUNNING


class SparkRunner(Protocol):
    """Runs jobs of :mod:`airflow_lakehouse.spark.jobs` somewhere. Every call may block; none keeps state in memory."""

    name: ClassVar[str]

    def submit(self, job: str, arguments: Mapping[str, Any], token: str) -> JobHandle:
        """Start a job, or return the one that was started under the same token.

        :param job: name of the job.
        :param arguments: JSON values for it.
        :param token: hexadecimal; the same token never starts a second job.
        :raises EngineError: when the job cannot be started.
        """
        ...

    def find(self, token: str) -> JobHandle | None:
        """Return the job that was started under a token, or None.

        :param token: as given to :meth:`submit`.
        """
        ...

    def status(self, handle: JobHandle) -> JobStatus:
        """Tell where a job stands.

        :param handle: the job.
        :raises JobError: when the job is out of this process's reach.
        """
        ...

    def cancel(self, handle: JobHandle) -> None:
        """Stop a job and whatever it started. One that has ended is left alone.

        :param handle: the job.
        """
        ...

    def follow_logs(self, handle: JobHandle, position: int) -> tuple[list[str], int]:
        """Return what the job logged since a position. Never fails: a job must not die for its log.

        :param handle: the job.
        :param position: 0, or what the last call returned.
        :return: new lines, fit for a task log (no record text), and the next position.
        """
        ...

    def result(self, handle: JobHandle) -> dict[str, Any]:
        """Return what a job that succeeded reported.

        :param handle: the job.
        :raises JobError: when it left no result.
        """
        ...
