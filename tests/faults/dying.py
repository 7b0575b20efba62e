"""Runs that die between two steps: by a signal, as a process of their own, or by an error nothing catches.

``python -m tests.faults.dying POINT TIMES JOB ARGUMENTS`` runs a job that kills itself with SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.spark.bronze import reconcile
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.iceberg import branches, load
from airflow_lakehouse.spark.jobs import JobArguments, run_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_lakehouse.profile import Profile

POINTS: Final[dict[str, tuple[Any, str]]] = {
    "written down": (Ledger, "claim"),
    "merged": (load, "insert_new"),
    "counted": (reconcile, "check_bronze"),
    "conformed": (load, "head"),
    "published": (branches, "publish"),
}
"""Step after which a run dies."""


class KilledError(BaseException):
    """Ends a run as abruptly as can be within a process: no handler of errors sees it."""


@contextmanager
def dying(point: str, times: int, die: Callable[[], None]) -> Iterator[None]:
    """Make every run in the block die after a step.

    :param point: one of :data:`POINTS`.
    :param times: how often the step is done before.
    :param die: ends the run.
    """
    owner, name = POINTS[point]
    original, left = getattr(owner, name), times

    def step(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        done = original(*args, **kwargs)
        left -= 1
        if left <= 0:
            die()
        return done

    setattr(owner, name, step)
    try:
        yield
    finally:
        setattr(owner, name, original)


def raise_killed() -> None:
    """End the run of this process, and not the process."""
    raise KilledError


def kill_process() -> None:
    """End this process with SIGKILL: no `finally` runs, nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_die(job: str, profile: Profile, point: str, times: int = 1) -> None:
    """Run a job in a process of its own that kills itself, and check that it did.

    :param job: name of the job.
    :param profile: the lakehouse.
    :param point: one of :data:`POINTS`.
    :param times: how often the step is done before.
    """
    arguments = json.dumps({"profile": profile.as_dict()})
    command = [sys.executable, "-m", "tests.faults.dying", point, str(times), job, arguments]
    ended = subprocess.run(command, check=False, capture_output=True, timeout=300)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-2000:]


if __name__ == "__main__":
    _, the_point, the_times, the_job, the_arguments = sys.argv
    with dying(the_point, int(the_times), kill_process):
        run_job(the_job, JobArguments.from_dict(json.loads(the_arguments)))
