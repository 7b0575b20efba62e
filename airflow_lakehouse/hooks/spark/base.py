"""What a runner is: a few verbs on a job that outlives whoever asked for it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from airflow_lakehouse.exceptions import JobError

if TYPE_CHECKING:
    from collections.abc import Mapping


_TOKEN: Final = re.compile(r"[0-9a-f]{8,64}")


def check_token(token: str) -> str:
    """Return a token, which becomes part of names: of directories, objects and jobs.

    :param token: what was given.
    :raises JobError: when it is none.
    """
    if not _TOKEN.fullmatch(token):
        raise JobError(f"{token!r} is not a job token", legal="8 to 64 hexadecimal digits")
    return token


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
    :param token: what it was started under, which names its arguments and its result.
    """

    runner: str
    job_id: str
    job: str
    location: str = ""
    host: str = ""
    token: str = ""

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
    :param reason: for a job that failed, why: what the service or the job itself says, then the last lines of the
        driver's log that are fit for a task log. No record text. Else empty.
    :param error_type: name of an error class in :mod:`airflow_lakehouse.exceptions`: the job's own (``InputError``),
        :class:`~airflow_lakehouse.exceptions.JobFailedError` where its code failed otherwise,
        :class:`~airflow_lakehouse.exceptions.JobLostError` where what it ran on did,
        :class:`~airflow_lakehouse.exceptions.JobCancelledError` where somebody stopped it.
    :param service_state: the service's own word for the state, such as ``SCHEDULED``; empty where it has none.
    :param attempt: how many times the service has started the job, beginning with 1.
    """

    state: JobState
    reason: str = ""
    error_type: str = ""
    service_state: str = ""
    attempt: int = 1

    @property
    def is_active(self) -> bool:
        """Whether the job can still change its state."""
        return self.state is JobState.RUNNING


class SparkRunner(Protocol):
    """Runs jobs of :mod:`airflow_lakehouse.spark.jobs` somewhere. Every call may block; none keeps state in memory.

    A runner is a frozen dataclass, made of JSON values or what takes them, that reaches nothing when it is built. What
    a call meets at the service is one of ours: :class:`~airflow_lakehouse.exceptions.QuotaError`,
    :class:`~airflow_lakehouse.exceptions.CredentialsError`, :class:`~airflow_lakehouse.exceptions.JobLostError` for a
    job that is gone, else :class:`~airflow_lakehouse.exceptions.EngineError`: the job may well run on.
    """

    name: ClassVar[str]

    def options(self) -> dict[str, Any]:
        """Return what builds this runner again, in a trigger or another process: JSON values, no secret among them.

        ``runner_from(runner.name, runner.options()) == runner``.
        """
        ...

    def links(self, handle: JobHandle) -> dict[str, str]:
        """Return where a person can look at a job: label to URL. Asks nobody, and may be empty.

        :param handle: the job.
        """
        ...

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether jobs can be run here, as far as that can be told without one; never raises.

        :return: whether all is well, and one sentence for the connection form.
        """
        ...

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
        :raises JobLostError: when the job is gone.
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
        """Return what a job that succeeded reported, and as ``resources`` what it is billed, where the service tells.

        Names of resources have their unit at the end, as in ``vcpu_hours``, ``memory_gb_hours`` or ``dpu_hours``.

        :param handle: the job.
        :raises JobError: when it left no result.
        """
        ...
