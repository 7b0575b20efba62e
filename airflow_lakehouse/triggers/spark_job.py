"""Wait for a Spark job, whatever runs it."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from airflow_lakehouse._compat import BaseTrigger, make_event
from airflow_lakehouse.hooks.spark import JobHandle, runner_named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_lakehouse._compat import TriggerEvent
    from airflow_lakehouse.hooks.spark import JobStatus, SparkRunner

FIRST_WAIT = 0.25
"""Seconds before the second look; waits grow from here to the poll interval, so that short jobs end soon."""


class SparkJobTrigger(BaseTrigger):
    """Fire when a job has ended, or its time is up.

    :param handle: the job, as :meth:`JobHandle.as_dict` gives it.
    :param poll_seconds: longest wait between two looks.
    :param deadline: when to give up, in seconds since the epoch; None waits as long as the job runs.
    """

    def __init__(self, handle: dict[str, str], poll_seconds: float = 5.0, deadline: float | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow has no types here
        self.handle = handle
        self.poll_seconds = poll_seconds
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what builds this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"handle": self.handle, "poll_seconds": self.poll_seconds, "deadline": self.deadline},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ``status`` (a job state, ``timeout``, ``error``), ``reason``, ``error_type``, ``handle``."""
        try:
            status = await self._wait()
        except Exception as error:  # noqa: BLE001 - raised here, the task would only see "Trigger failure"
            yield self._event("error", f"{error}", type(error).__name__)
        else:
            if status is None:
                yield self._event("timeout", "the job took longer than it may", "JobError")
            else:
                yield self._event(status.state.value, status.reason, status.error_type)

    async def on_kill(self) -> None:
        """Stop the job: somebody marked or cleared the deferred task (Airflow 3.3 and newer)."""
        handle = JobHandle.from_dict(self.handle)
        await asyncio.to_thread(runner_named(handle.runner).cancel, handle)

    async def _wait(self) -> JobStatus | None:
        handle = JobHandle.from_dict(self.handle)
        runner = runner_named(handle.runner)
        position, seconds = 0, min(FIRST_WAIT, self.poll_seconds)
        while True:
            status = await asyncio.to_thread(runner.status, handle)
            position = await self._forward(runner, handle, position)
            if not status.is_active:
                return status
            if self.deadline is not None and time.time() > self.deadline:
                return None
            # Jitter: a hundred tasks deferred by one scheduler loop must not ask all at once.
            await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311 - no secret depends on it
            seconds = min(seconds * 1.5, self.poll_seconds)

    async def _forward(self, runner: SparkRunner, handle: JobHandle, position: int) -> int:
        lines, position = await asyncio.to_thread(runner.follow_logs, handle, position)
        for line in lines:
            self.log.info("%s", line)
        return position

    def _event(self, status: str, reason: str, error_type: str) -> TriggerEvent:
        return make_event({"status": status, "reason": reason, "error_type": error_type, "handle": self.handle})
