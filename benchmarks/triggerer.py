"""Many deferred Spark jobs on one triggerer: lag of its event loop, calls a second, and how late an end is seen.

Airflow's own :class:`TriggerRunner` runs the triggers, as in a triggerer, without the supervisor around it. The jobs
are directories as the local runner keeps them. The other services are played by runners whose calls take 50 ms and some
work, one call a job or one call for many. ``idle`` is the loop without any trigger: what the machine itself costs.

    python benchmarks/triggerer.py --jobs 500 --seconds 30
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import logging
import os
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

from airflow_lakehouse.hooks.spark import JobHandle, JobState, JobStatus, LocalRunner
from airflow_lakehouse.hooks.spark.process import find_process
from airflow_lakehouse.triggers import spark_job
from airflow_lakehouse.triggers.spark_job import SparkJobTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_lakehouse.hooks.spark import SparkRunner

_TICK = 0.01
_ENDED: set[str] = set()
CALLS: Counter[str] = Counter()
_LOCK = threading.Lock()


class Service:
    """A service across a network: each call takes a while, and some work to read its answer."""

    name: ClassVar[str] = "service"

    def options(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def status(self, handle: JobHandle) -> JobStatus:
        """Answer for one job."""
        _call()
        return _status(handle)

    def follow_logs(self, handle: JobHandle, position: int) -> tuple[list[str], int]:
        """Return nothing, after as long as any call."""
        del handle
        _call()
        return [], position


class ListingService(Service):
    """A service that tells of many jobs in one call."""

    def running(self, handles: Sequence[JobHandle]) -> set[str]:
        """Answer for many jobs, fifty a page."""
        for _ in range(0, len(handles), 50):
            _call()
        return {handle.job_id for handle in handles} - _ENDED


class Local(LocalRunner):
    """The local runner, counted."""

    def status(self, handle: JobHandle) -> JobStatus:
        """Look at the directory."""
        with _LOCK:
            CALLS["calls"] += 1
        return JobStatus(JobState.SUCCEEDED) if handle.job_id in _ENDED else super().status(handle)


def _call() -> None:
    with _LOCK:
        CALLS["calls"] += 1
    time.sleep(0.05)
    # What botocore spends on signing a request and reading its answer.
    json.loads(json.dumps([{"n": n, "s": str(n)} for n in range(800)]))


def _status(handle: JobHandle) -> JobStatus:
    return JobStatus(JobState.SUCCEEDED if handle.job_id in _ENDED else JobState.RUNNING)


RUNNERS: dict[str, Any] = {
    "idle": Local,
    "local": Local,
    "one call a job": Service,
    "one call for many": ListingService,
}


async def _measure_lag(lags: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(_TICK)
        lags.append(time.perf_counter() - began - _TICK)


async def _run(triggers: list[SparkJobTrigger], seconds: float) -> dict[str, Any]:
    """Run the triggers for a while, end a tenth of the jobs, and tell what it cost."""
    from airflow.jobs.triggerer_job_runner import TriggerRunner

    lags: list[float] = []
    seen: dict[str, float] = {}
    runner: Any = TriggerRunner()  # type: ignore[no-untyped-call] # Airflow has no types here
    watcher = asyncio.ensure_future(_measure_lag(lags))

    async def run(number: int, trigger: SparkJobTrigger) -> None:
        runner.triggers[number] = {
            "task": asyncio.current_task(),
            "is_watcher": False,
            "name": str(number),
            "events": 0,
        }
        await runner.run_trigger(number, trigger)
        seen[trigger.handle["job_id"]] = time.monotonic()

    tasks = []
    for number, trigger in enumerate(triggers):
        tasks.append(asyncio.ensure_future(run(number, trigger)))
        # As the triggerer does between one trigger and the next.
        await asyncio.sleep(0)
    began, before = time.monotonic(), CALLS["calls"]
    await asyncio.sleep(seconds)
    rate = (CALLS["calls"] - before) / (time.monotonic() - began)
    ended = time.monotonic()
    _ENDED.update(trigger.handle["job_id"] for trigger in triggers[::10])
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*tasks[::10]), 3 * seconds)
    for task in (watcher, *tasks):
        task.cancel()
    await asyncio.gather(watcher, *tasks, return_exceptions=True)
    late = sorted(when - ended for when in seen.values())
    started, lags = lags[:100], sorted(lags)
    return {
        "lag_max": round(max(lags), 3),
        "lag_start": round(max(started), 3),
        "lag_p99": round(lags[int(len(lags) * 0.99)], 4),
        "calls_per_second": round(rate, 1),
        "ends_seen": f"{len(seen)}/{len(_ENDED)}",
        "seen_after_median": round(late[len(late) // 2], 1) if late else None,
        "seen_after_max": round(late[-1], 1) if late else None,
        "threads": sum("lakehouse-poll" in thread.name for thread in threading.enumerate()),
    }


def measure(kind: str, jobs: int, seconds: float, poll_seconds: float, root: Path) -> dict[str, Any]:
    """Measure one kind of service.

    :param kind: one of :data:`RUNNERS`.
    :param jobs: how many are deferred.
    :param seconds: how long they run.
    :param poll_seconds: longest wait between two looks at one job.
    :param root: directory for the local runner's jobs.
    """
    _ENDED.clear()
    runner: SparkRunner = RUNNERS[kind]()
    process = json.dumps({"job": "work", "pid": os.getpid(), "process": find_process(os.getpid())})
    triggers = []
    for number in range(jobs):
        directory = root / f"{number:08x}"
        directory.mkdir(exist_ok=True)
        (directory / "job.json").write_text(process)
        handle = JobHandle(runner.name, directory.name, "work", str(directory) if kind == "local" else "app")
        triggers.append(SparkJobTrigger(handle.as_dict(), poll_seconds=poll_seconds))
    with mock.patch.object(spark_job, "runner_from", return_value=runner):
        return asyncio.run(_run(triggers, seconds))


def _load_airflow() -> dict[str, Any]:
    """Load what a triggerer has loaded before any trigger of ours runs, and tell how long a look through it takes.

    Python's collector does so now and then, and the loop stands still meanwhile.
    """
    importlib.import_module("airflow.jobs.triggerer_job_runner")
    gc.collect()
    began = time.perf_counter()
    gc.collect()
    return {"objects": len(gc.get_objects()), "collected_in": round(time.perf_counter() - began, 3)}


def main() -> None:
    """Measure every kind and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--poll-seconds", type=float, default=5.0)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    heap = _load_airflow()
    print(json.dumps({"heap": heap}), flush=True)
    with tempfile.TemporaryDirectory() as root:
        for kind in RUNNERS:
            found = measure(
                kind, 0 if kind == "idle" else options.jobs, options.seconds, options.poll_seconds, Path(root)
            )
            print(json.dumps({"jobs": options.jobs, "service": kind, **found}), flush=True)


if __name__ == "__main__":
    main()
