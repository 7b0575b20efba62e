"""How every runner behaves: one suite over all of them, with jobs that really run."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import textwrap
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.exceptions import ConfigurationError, JobError, JobLostError
from airflow_lakehouse.hooks.spark import JobHandle, JobState, runner_from
from tests.airflow.runners.conftest import lives, until

if TYPE_CHECKING:
    from tests.airflow.runners.conftest import World

TOKEN = "0123456789abcdef" * 4


def test_a_job_runs_and_reports(world: World) -> None:
    """A job that ends well gives its result back, and the service's bill where there is one."""
    world.let()
    handle = world.submit()
    assert world.ended(handle).state is JobState.SUCCEEDED
    result = world.runner.result(handle)
    assert result["rows"] == 3
    if world.service is not None:
        assert all(value >= 0 for value in result["resources"].values())
        assert ".zip/" in result["code"], "what ran is not the bundle, but what is installed here"


def test_a_running_job_says_so(world: World) -> None:
    """While it runs it is running, and knows which attempt it is."""
    handle = world.submit()
    until(world.pids)
    until(lambda: world.runner.status(handle).service_state in ("", "RUNNING"))
    status = world.runner.status(handle)
    assert (status.state, status.attempt, status.reason) == (JobState.RUNNING, 1, "")


def test_a_failed_job_says_why(world: World) -> None:
    """The job's own reason and error class arrive, not merely that it failed."""
    world.let()
    status = world.ended(world.submit("fail"))
    assert (status.state, status.reason, status.error_type) == (JobState.FAILED, "the drop is empty", "InputError")


def test_code_that_raises_is_told_without_what_it_quotes(world: World) -> None:
    """Of an error nobody foresaw, the class and the last log lines arrive, and the value it quotes does not."""
    world.let()
    status = world.ended(world.submit("raise"))
    assert (status.state, status.error_type) == (JobState.FAILED, "JobFailedError")
    assert "ValueError" in status.reason
    assert "airflow_lakehouse.tiny: started" in status.reason
    assert "Jane Roe" not in status.reason


def test_a_driver_that_is_gone_is_no_failure_of_the_job(world: World) -> None:
    """A job killed from outside has an error class of its own: a retry is worth it."""
    world.let()
    status = world.ended(world.submit("crash"))
    assert (status.state, status.error_type) == (JobState.FAILED, "JobLostError")
    assert status.reason
    assert "Jane Roe" not in status.reason


def test_the_same_token_never_starts_a_second_job(world: World) -> None:
    """A retry that submits again is given the job that runs, and the one that has ended."""
    first = world.submit(token=TOKEN)
    until(world.pids)
    assert world.submit(token=TOKEN) == first == world.runner.find(TOKEN)
    assert world.runner.find("ff" * 8) is None
    world.let()
    assert world.ended(first).state is JobState.SUCCEEDED
    assert world.submit(token=TOKEN) == first
    assert len(world.pids()) == 1


def test_a_job_outlives_the_worker_that_started_it(world: World) -> None:
    """The worker is killed with SIGKILL; another process finds the job running and takes its result."""
    worker = textwrap.dedent(f"""
        import json, os, signal
        from airflow_lakehouse.hooks.spark import runner_from
        runner = runner_from({world.runner.name!r}, json.loads({json.dumps(world.runner.options())!r}))
        runner.submit("work", json.loads({json.dumps(world.arguments)!r}), {TOKEN!r})
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    died = subprocess.run([sys.executable, "-W", "ignore", "-c", worker], check=False)
    assert died.returncode == -signal.SIGKILL
    handle = world.runner.find(TOKEN)
    assert handle is not None
    assert world.runner.status(handle).state is JobState.RUNNING
    world.let()
    assert world.ended(handle).state is JobState.SUCCEEDED
    assert len(world.pids()) == 1


def test_one_call_tells_which_of_many_jobs_run(world: World) -> None:
    """Where a service lists jobs, one that runs is in the list, and one that has ended is not."""
    ask = getattr(world.runner, "running", None)
    if ask is None:
        pytest.skip("this runner looks at its jobs one by one")
    first, second = world.submit(), world.submit()
    until(lambda: len(world.pids()) == 2)
    assert set(ask([first, second])) == {first.job_id, second.job_id}
    world.runner.cancel(first)
    world.ended(first)
    assert set(ask([first, second])) == {second.job_id}


def test_cancel_reaches_the_process(world: World) -> None:
    """A cancelled job ends, its process too, and it says that it was cancelled; cancelling it again does nothing."""
    handle = world.submit()
    until(world.pids)
    world.runner.cancel(handle)
    status = world.ended(handle)
    assert (status.state, status.error_type) == (JobState.CANCELLED, "JobCancelledError")
    until(lambda: not lives(world.pids()[0]))
    world.runner.cancel(handle)


def test_a_job_that_ended_well_is_not_cancelled(world: World) -> None:
    """Cancelling too late leaves a success a success."""
    world.let()
    handle = world.submit()
    assert world.ended(handle).state is JobState.SUCCEEDED
    world.runner.cancel(handle)
    assert world.runner.status(handle).state is JobState.SUCCEEDED


def test_a_vanished_job_is_said_to_be_lost(world: World) -> None:
    """A job that nobody knows any more is no failure of its code, and following its log does not raise."""
    handle = world.submit()
    until(world.pids)
    world.let()
    world.ended(handle)
    world.vanish(handle)
    with pytest.raises(JobLostError):
        world.runner.status(handle)
    lines, _ = world.runner.follow_logs(handle, 0)
    assert "Jane Roe" not in "".join(lines)


def test_logs_are_followed_without_record_text(world: World) -> None:
    """Each of the package's log lines comes once; what else was printed stays where it is."""
    handle = world.submit()
    until(world.pids)
    lines: list[str] = []
    position = 0

    def follow() -> list[str]:
        nonlocal position
        new, position = world.runner.follow_logs(handle, position)
        lines.extend(new)
        return lines

    until(follow)
    world.let()
    world.ended(handle)
    follow()
    assert [line.rpartition(" ")[2] for line in lines] == ["started"]


def test_options_build_the_runner_again(world: World) -> None:
    """A trigger or another process gets the same runner from what JSON can hold; and it survives pickling."""
    options = json.loads(json.dumps(world.runner.options()))
    assert runner_from(world.runner.name, options) == world.runner
    assert pickle.loads(pickle.dumps(world.runner)) == world.runner  # noqa: S301 - our own
    with pytest.raises(ConfigurationError, match="takes no aplication_id"):
        runner_from(world.runner.name, {**options, "aplication_id": "x"})
    kind: Any = type(world.runner)
    assert set(options) == {one.name for one in fields(kind)}


def test_handles_travel(world: World) -> None:
    """A handle survives JSON and pickle, as triggers and task stores need."""
    handle = world.submit()
    assert JobHandle.from_dict(json.loads(json.dumps(handle.as_dict()))) == handle
    assert pickle.loads(pickle.dumps(handle)) == handle  # noqa: S301 - our own
    assert all(url.startswith("https://") for url in world.runner.links(handle).values())


def test_a_token_is_no_path(world: World) -> None:
    """Tokens become parts of names, so nothing but hexadecimal digits is taken."""
    with pytest.raises(JobError, match="hexadecimal"):
        world.runner.find("../../etc")


def test_the_connection_is_tested(world: World) -> None:
    """The form of the connection is told in one sentence whether jobs can be run."""
    is_well, sentence = world.runner.test_connection()
    assert is_well, sentence
    assert "\n" not in sentence
