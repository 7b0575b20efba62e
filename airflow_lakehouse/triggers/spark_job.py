"""Wait for a Spark job, whatever runs it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, TypedDict

from airflow_lakehouse._compat import BaseTrigger, make_event
from airflow_lakehouse.exceptions import JobTimeoutError
from airflow_lakehouse.hooks.edge import said
from airflow_lakehouse.hooks.spark import JobHandle, runner_from
from airflow_lakehouse.hooks.spark.patience import Patience
from airflow_lakehouse.triggers import heap, task_state
from airflow_lakehouse.triggers.polling import Poller, poller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_lakehouse._compat import TriggerEvent
    from airflow_lakehouse.hooks.spark import JobStatus, SparkRunner

TIMEOUT: Final = "timeout"
ERROR: Final = "error"


class JobEvent(TypedDict):
    """What the trigger yields.

    ``status`` is a :class:`~airflow_lakehouse.hooks.spark.JobState`, :data:`TIMEOUT`, or :data:`ERROR` where the job
    could not be asked after and may well run on. The others are fields of
    :class:`~airflow_lakehouse.hooks.spark.JobStatus`; ``handle`` is the job, and ``position`` how far its log was read.
    """

    status: str
    reason: str
    error_type: str
    service_state: str
    attempt: int
    handle: dict[str, str]
    position: int


class SparkJobTrigger(BaseTrigger):
    """Fire when a job has ended, or its time is up.

    :param handle: the job, as :meth:`JobHandle.as_dict` gives it.
    :param options: what its runner is built with, as :meth:`SparkRunner.options` gives it. No secret: a connection is
        read when it is used.
    :param poll_seconds: longest wait between two looks.
    :param deadline: when to give up, in seconds since the epoch; None waits as long as the job runs.
    :param position: how far the job's log was read before.
    """

    def __init__(
        self,
        handle: dict[str, str],
        options: dict[str, Any] | None = None,
        poll_seconds: float = 5.0,
        deadline: float | None = None,
        position: int = 0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow has no types here
        self.handle = handle
        self.options = options or {}
        self.poll_seconds = poll_seconds
        self.deadline = deadline
        self.position = position

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what builds this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "handle": self.handle,
                "options": self.options,
                "poll_seconds": self.poll_seconds,
                "deadline": self.deadline,
                "position": self.position,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one :class:`JobEvent`."""
        heap.put_aside(heap.BEGUN)
        try:
            status = await self._wait()
        except asyncio.CancelledError:
            # Airflow 3.3 calls on_kill; before, only the state of the task tells that this is the end of it.
            if not task_state.SAYS_SO and await task_state.was_killed(self.task_instance):
                await self.on_kill()
            raise
        except Exception as error:  # noqa: BLE001 - raised here, the task would only see "Trigger failure"
            yield self._event(ERROR, said(error), type(error).__name__)
        else:
            if status is None:
                yield self._event(TIMEOUT, "the job took longer than it may", JobTimeoutError.__name__)
            else:
                yield self._event(
                    status.state.value, status.reason, status.error_type, status.service_state, status.attempt
                )

    async def on_kill(self) -> None:
        """Stop the job: somebody marked or cleared the deferred task (Airflow 3.3 and newer call this)."""
        runner, handle = self._job()
        self.log.info("The task was killed: stopping job %s", handle.job_id)
        await asyncio.to_thread(runner.cancel, handle)

    def _job(self) -> tuple[SparkRunner, JobHandle]:
        handle = JobHandle.from_dict(self.handle)
        return runner_from(handle.runner, self.options), handle

    async def _wait(self) -> JobStatus | None:
        runner, handle = self._job()
        with poller().watching() as asked:
            return await self._watch(asked, runner, handle)

    async def _watch(self, asked: Poller, runner: SparkRunner, handle: JobHandle) -> JobStatus | None:
        patience, read = Patience(self.poll_seconds, self.deadline), time.monotonic()
        while True:
            try:
                status = await asked.status(runner, handle)
            except Exception as error:  # noqa: BLE001 - what does not pass is raised again
                pause = patience.after_failure(error)
                self.log.warning("Job %s cannot be asked after (%s); waiting on", handle.job_id, type(error).__name__)
            else:
                if not status.is_active or time.monotonic() - read > asked.log_seconds:
                    read = time.monotonic()
                    lines, self.position = await asked.call(runner, runner.follow_logs, handle, self.position)
                    for line in lines:
                        self.log.info("%s", line)
                if not status.is_active:
                    return status
                pause = patience.after_answer()
            if patience.is_over:
                return None
            # After the first answer: what asking has imported is part of what stays.
            heap.put_aside(heap.OPENED)
            await asyncio.sleep(pause)

    def _event(
        self, status: str, reason: str, error_type: str, service_state: str = "", attempt: int = 1
    ) -> TriggerEvent:
        return make_event(
            dict(
                JobEvent(
                    status=status,
                    reason=reason,
                    error_type=error_type,
                    service_state=service_state,
                    attempt=attempt,
                    handle=self.handle,
                    position=self.position,
                )
            )
        )
