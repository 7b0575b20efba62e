"""Many jobs, few calls: the shared poller of a triggerer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any, ClassVar

import pytest

from airflow_lakehouse.exceptions import EngineError
from airflow_lakehouse.hooks.spark import JobHandle, JobState, JobStatus
from airflow_lakehouse.triggers.polling import Poller, poller

RUNNING = JobStatus(JobState.RUNNING)


class Counting:
    """A service that counts its calls and how many are made at a time."""

    name: ClassVar[str] = "counting"

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def options(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def status(self, handle: JobHandle) -> JobStatus:
        """Answer for one job."""
        assert handle.runner == self.name
        with self.lock:
            self.calls["one"] += 1
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.005)
        with self.lock:
            self.now -= 1
        return RUNNING


class Listing(Counting):
    """A service that tells in one call which of many jobs run; one called ``ended`` does not."""

    def running(self, handles: list[JobHandle]) -> set[str]:
        """Answer for many jobs."""
        self.calls["many"] += 1
        return {handle.job_id for handle in handles if handle.job_id != "ended"}

    def status(self, handle: JobHandle) -> JobStatus:
        """Answer for the one that has ended."""
        self.calls["one"] += 1
        return JobStatus(JobState.FAILED, f"{handle.job_id} it has")


class Down(Listing):
    """A service that is down."""

    def running(self, handles: list[JobHandle]) -> set[str]:
        """Raise."""
        raise EngineError(f"down, and {len(handles)} jobs with it")


def handles(number: int, location: str = "app") -> list[JobHandle]:
    """Return handles of that many jobs."""
    return [JobHandle("counting", f"job{n}", "work", location) for n in range(number)]


def ask(poller: Poller, runner: Any, jobs: list[JobHandle]) -> list[Any]:
    """Return what the poller tells of all jobs at once."""

    async def main() -> list[Any]:
        return await asyncio.gather(*(poller.status(runner, job) for job in jobs), return_exceptions=True)

    return asyncio.run(main())


def test_calls_are_few_at_a_time_and_within_the_budget() -> None:
    """Sixty questions at 200 a second take 0.3 s, four at a time, however many triggers ask."""
    runner, started = Counting(), time.monotonic()
    assert ask(Poller(threads=4, per_second=200), runner, handles(60)) == [RUNNING] * 60
    assert time.monotonic() - started >= 59 / 200
    assert runner.most <= 4


def test_one_call_answers_many_jobs() -> None:
    """Where the service lists jobs, 120 of one application are one call, and those of another one of their own."""
    runner = Listing()
    assert ask(Poller(per_second=1000), runner, [*handles(120), *handles(3, "other")]) == [RUNNING] * 123
    assert runner.calls == {"many": 2}


def test_a_job_that_is_not_listed_is_asked_after_and_a_failure_is_everybodys() -> None:
    """Why a job has ended is told by its own answer; an error in the call reaches all who wait for it."""
    known, ended = handles(1)[0], JobHandle("counting", "ended", "work", "app")
    runner = Listing()
    assert ask(Poller(), runner, [known, ended]) == [RUNNING, JobStatus(JobState.FAILED, "ended it has")]
    assert runner.calls == {"many": 1, "one": 1}
    assert all(isinstance(answer, EngineError) for answer in ask(Poller(), Down(), handles(2)))


def test_a_cancelled_question_leaves_the_others() -> None:
    """Two triggers ask after one job; one is cancelled, and the other gets its answer."""

    async def main() -> JobStatus:
        asked, (job,) = Poller(), handles(1)
        runner: Any = Listing()
        first, second = (asyncio.ensure_future(asked.status(runner, job)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(main()) == RUNNING


def test_one_loop_has_one_poller(monkeypatch: pytest.MonkeyPatch) -> None:
    """All triggers of a triggerer share a budget, which its configuration sets."""
    monkeypatch.setenv("AIRFLOW__LAKEHOUSE__POLLS_PER_SECOND", "5")

    async def main() -> tuple[Poller, Poller]:
        return poller(), poller()

    first, second = asyncio.run(main())
    assert first is second
    assert first._interval == pytest.approx(0.2)
    assert asyncio.run(main())[0] is not first
