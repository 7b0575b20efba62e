"""The one job of a task: found again by whoever comes after, started afresh where somebody cleared the task.

A job is started under a token that every attempt of the task can compute. Three things find it again: Airflow's task
store, where there is one (3.3 and newer), the service itself, to which the same token is the same job, and the runner's
search for the token. So a worker may die at any line here, and there is one job.
"""

from __future__ import annotations

import itertools
import json
import logging
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import EngineError, JobError
from airflow_lakehouse.hooks.spark import JobHandle, JobState, JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.hooks.spark import SparkRunner

RERUN: Final = "rerun"
REUSE: Final = "reuse"
_LAST: Final = "job"
"""Key of the task store under which the last job is, whatever its token."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """What the attempts that share a job have in common.

    :param parts: JSON values that tell this task of this DAG run from every other: its names and ``map_index``, and
        when the run began, for a deleted run may be made again under its name.
    :param clears: grows when somebody clears the task, and not when it is retried; None where both share a job.
    """

    parts: tuple[Any, ...]
    clears: int | None

    @classmethod
    def of(cls, context: Context, job: str, where: Mapping[str, Any], on_clear: str) -> Identity:
        """Return the identity of the task that runs.

        Arguments are left out, because a template may render the time.

        :param context: the task's context.
        :param job: name of the job.
        :param where: the lakehouse, as JSON values.
        :param on_clear: :data:`RERUN` or :data:`REUSE`.
        """
        ti = context["ti"]
        started = str(getattr(context.get("dag_run"), "start_date", None))
        parts = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, job, started, json.dumps(where, sort_keys=True))
        return cls(parts, None if on_clear == REUSE else ti.max_tries)

    def token(self, failed: int) -> str:
        """Return the token after a number of jobs that ended badly: the service would give the dead one back.

        :param failed: how many there were.
        """
        return sha256(json.dumps([*self.parts, self.clears, failed]).encode()).hexdigest()

    def before_clears(self, first: int) -> Iterator[Identity]:
        """Yield what the task was before it was last cleared, and before that.

        :param first: ``max_tries`` of a task that was never cleared.
        """
        for clears in range((self.clears or 0) - 1, first - 1, -1):
            yield Identity(self.parts, clears)


@dataclass(frozen=True, slots=True)
class Found:
    """A job of this task.

    :param handle: the job.
    :param status: where it stands.
    :param started: when it was started, in seconds since the epoch, as far as is known.
    """

    handle: JobHandle
    status: JobStatus
    started: float


class TaskJob:
    """Start and find the job of a task.

    :param runner: where it runs.
    :param identity: whose it is.
    :param store: Airflow's task store, or None.
    """

    def __init__(self, runner: SparkRunner, identity: Identity, store: Any = None) -> None:
        self.runner = runner
        self.identity = identity
        self.store = store
        self.token = ""
        self.handle: JobHandle | None = None

    def find(self, *, is_first: bool = False) -> Found | None:
        """Return the job of an earlier attempt that runs or has succeeded, or None.

        After None, :attr:`token` is the one to start the next under.

        :param is_first: whether no attempt came before. Then the runner is not asked to search, which may take many
            calls: should there be a job after all, its service gives it back for the same token.
        """
        for failed in itertools.count():
            self.token = self.identity.token(failed)
            stored = self._stored(self.token)
            if stored:
                handle = JobHandle.from_dict(stored["handle"])
            else:
                known = None if is_first else self.runner.find(self.token)
                if known is None:
                    return None
                handle = known
            status = self._status(handle)
            if status.is_active or status.state is JobState.SUCCEEDED:
                self.handle = handle
                _log.info("Found job %s of an earlier attempt: %s", handle.job_id, status.state.value)
                return Found(handle, status, stored["started"] if stored else time.time())
        raise AssertionError  # pragma: no cover - itertools.count() does not end

    def start(self, job: str, arguments: Mapping[str, Any]) -> Found:
        """Start the job under :attr:`token`, and note it before anybody waits: from then on whoever dies, it is found.

        :param job: name of the job.
        :param arguments: JSON values.
        """
        started = time.time()
        self.handle = self.runner.submit(job, arguments, self.token)
        if self.store is not None:
            entry = {"handle": self.handle.as_dict(), "started": started}
            self.store.set(_key(self.token), entry)
            self.store.set(_LAST, entry)
        _log.info("Started %s as job %s on runner %s", job, self.handle.job_id, self.runner.name)
        return Found(self.handle, self._status(self.handle), started)

    def cancel(self) -> None:
        """Stop the job, also one whose start has not been answered yet. One that has ended is left alone."""
        handle = self.handle or (self.runner.find(self.token) if self.token else None)
        if handle is not None:
            self.runner.cancel(handle)

    def stop_cleared(self, retries: int) -> None:
        """Stop what a task that was cleared since has left running; the new job would write beside it.

        :param retries: the task's own.
        """
        for handle in self._cleared(retries):
            try:
                if self.runner.status(handle).is_active:
                    _log.warning("Stopping job %s of before the task was cleared", handle.job_id)
                    self.runner.cancel(handle)
            except (JobError, EngineError) as error:
                _log.warning("Job %s of before the task was cleared is out of reach: %s", handle.job_id, error)

    def _cleared(self, retries: int) -> Iterator[JobHandle]:
        last = self._last()
        if last is not None:
            if last.token != self.token:
                yield last
            return
        for identity in self.identity.before_clears(retries):
            # Each that has failed was followed by the next: the last one may still run.
            for failed in itertools.count():
                handle = self.runner.find(identity.token(failed))
                if handle is None:
                    break
                yield handle

    def _last(self) -> JobHandle | None:
        stored = self.store.get(_LAST) if self.store is not None else None
        return JobHandle.from_dict(stored["handle"]) if stored else None

    def _stored(self, token: str) -> Any:
        return self.store.get(_key(token)) if self.store is not None else None

    def _status(self, handle: JobHandle) -> JobStatus:
        try:
            return self.runner.status(handle)
        except JobError as error:
            # Its machine or directory is gone. Starting it again is safe: loads are exactly-once.
            _log.warning("Job %s of an earlier attempt is lost: %s", handle.job_id, error)
            return JobStatus(JobState.FAILED)
        except (EngineError, OSError) as error:
            # The service does not answer now. Whoever waits for the job has the patience for that.
            _log.warning("Job %s cannot be asked after (%s)", handle.job_id, type(error).__name__)
            return JobStatus(JobState.RUNNING)


def _key(token: str) -> str:
    return f"job_{token}"
