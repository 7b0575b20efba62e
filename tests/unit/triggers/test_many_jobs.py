"""Five hundred deferred jobs on one loop: it stays responsive, and the service is asked within the budget.

``benchmarks/triggerer.py`` measures the same with Airflow's own runner of triggers, and for longer.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, ClassVar

import pytest

from airflow_lakehouse.hooks.spark import JobHandle, JobState, JobStatus
from airflow_lakehouse.triggers import polling
from airflow_lakehouse.triggers.spark_job import SparkJobTrigger

JOBS = 500
SECONDS = 3.0


class Service:
    """A service across a network, whose answers take 50 ms."""

    name: ClassVar[str] = "service"

    def __init__(self) -> None:
        self.calls, self.lock = 0, threading.Lock()
        self.ended: set[str] = set()

    def options(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def status(self, handle: JobHandle) -> JobStatus:
        """Answer for one job."""
        self._call()
        return JobStatus(JobState.SUCCEEDED if handle.job_id in self.ended else JobState.RUNNING)

    def follow_logs(self, handle: JobHandle, position: int) -> tuple[list[str], int]:
        """Return nothing, after as long as any call."""
        assert handle.runner == self.name
        self._call()
        return [], position

    def _call(self) -> None:
        with self.lock:
            self.calls += 1
        time.sleep(0.05)


class Listing(Service):
    """One that tells of many jobs in one call."""

    def running(self, handles: list[JobHandle]) -> set[str]:
        """Answer for many jobs."""
        self._call()
        return {handle.job_id for handle in handles} - self.ended


@pytest.mark.parametrize("kind", [Service, Listing])
def test_the_loop_stays_responsive_and_calls_stay_within_the_budget(
    kind: type[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four threads at most, twenty calls a second at most, and ends are seen within seconds where jobs are listed."""
    service = kind()
    monkeypatch.setattr("airflow_lakehouse.triggers.spark_job.runner_from", lambda *_: service)
    lags: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            lags.append(time.perf_counter() - began - 0.01)

    async def one(number: int) -> Any:
        handle = JobHandle("service", f"job{number}", "work", "app")
        event = await anext(aiter(SparkJobTrigger(handle.as_dict(), poll_seconds=1.0).run()))
        return event.payload

    async def main() -> list[Any]:
        ticking = asyncio.ensure_future(tick())
        waiting, began = [], time.monotonic()
        for number in range(JOBS):
            waiting.append(asyncio.ensure_future(one(number)))
            await asyncio.sleep(0)
        await asyncio.sleep(SECONDS)
        # By the clock: a busy machine lets three seconds be four.
        assert service.calls <= (time.monotonic() - began) * polling.PER_SECOND + polling.THREADS + 1
        assert sum("lakehouse-poll" in thread.name for thread in threading.enumerate()) <= polling.THREADS
        service.ended.update(f"job{number}" for number in range(10))
        seen = await asyncio.wait_for(asyncio.gather(*waiting[:10]), 20) if kind is Listing else []
        for task in (ticking, *waiting):
            task.cancel()
        await asyncio.gather(ticking, *waiting, return_exceptions=True)
        return seen

    seen = asyncio.run(main())
    assert {event["status"] for event in seen} <= {"succeeded"}
    assert len(seen) == (10 if kind is Listing else 0)
    # Of a hundred looks at the clock; the very longest may be the machine's own.
    assert sorted(lags)[int(len(lags) * 0.99)] < 0.2
