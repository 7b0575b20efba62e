"""Two runs that wait for one another just before they commit, in one process or in one each.

``python -m tests.faults.meeting STEP FOLDER JOB ARGUMENTS`` runs a job that waits, before a step, until as many as two
have come there, and prints its result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.spark.iceberg import conflicts, load
from airflow_lakehouse.spark.jobs import JobArguments, run_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from airflow_lakehouse.spark.jobs import JobResult

_WAIT_SECONDS: Final = 120


@contextmanager
def meeting(name: str, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the first two calls of a function of :mod:`airflow_lakehouse.spark.iceberg.load` wait for one another."""
    original, barrier, calls = getattr(load, name), threading.Barrier(2), iter(range(10_000))

    def step(*args: Any, **kwargs: Any) -> Any:
        if next(calls) < 2:
            barrier.wait(_WAIT_SECONDS)
        return original(*args, **kwargs)

    with patch.context() as patched:
        patched.setattr(load, name, step)
        yield


def both(*runs: Callable[[], JobResult]) -> list[JobResult]:
    """Do runs at once and return their results."""
    with ThreadPoolExecutor(len(runs)) as pool:
        return [future.result() for future in [pool.submit(run) for run in runs]]


def conflicts_met(patch: pytest.MonkeyPatch) -> list[BaseException]:
    """Return a list into which the conflicts go that are met from now on."""
    met: list[BaseException] = []
    original = conflicts.is_conflict

    def is_conflict(error: BaseException) -> bool:
        found = original(error)
        if found:
            met.append(error)
        return found

    patch.setattr(conflicts, "is_conflict", is_conflict)
    return met


def two_processes(step: str, folder: Path, job: str, *arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a job in two processes that meet before a step, and return what each reports.

    :param step: function of :mod:`airflow_lakehouse.spark.iceberg.load`.
    :param folder: not there yet.
    :param job: name of the job.
    :param arguments: of each of the two, as JSON values.
    """
    folder.mkdir()
    command = [sys.executable, "-m", "tests.faults.meeting", step, str(folder), job]
    runs = [
        subprocess.Popen([*command, json.dumps(given)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for given in arguments
    ]
    told = [run.communicate(timeout=2 * _WAIT_SECONDS) for run in runs]
    for run, (_, errors) in zip(runs, told, strict=True):
        assert run.returncode == 0, errors.decode()[-2000:]
    return [json.loads(output.splitlines()[-1]) for output, _ in told]


def _wait_for_another(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + _WAIT_SECONDS
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)


def _run(step: str, folder: Path, job: str, arguments: str) -> None:
    original, met = getattr(load, step), list[bool]()

    def waiting(*args: Any, **kwargs: Any) -> Any:
        if not met:
            _wait_for_another(folder)
            met.append(True)
        return original(*args, **kwargs)

    setattr(load, step, waiting)
    result = run_job(job, JobArguments.from_dict(json.loads(arguments)))
    sys.stdout.write(json.dumps(result.as_dict()) + "\n")


if __name__ == "__main__":
    _run(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
