"""How every runner must behave. A runner is added to the suite by adding it to the fixture."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.exceptions import ConfigurationError, EngineError, JobError
from airflow_lakehouse.hooks.spark import (
    JobHandle,
    JobState,
    LocalRunner,
    SparkRunner,
    runner_from,
    runner_named,
    runner_of,
)
from airflow_lakehouse.hooks.spark.process import find_process, is_running
from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY_JOB = str(Path(__file__).with_name("tiny_job.py"))
TOKEN = "0123456789abcdef"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[LocalRunner]:
    """Return a runner that starts the tiny job; whatever it started is stopped at the end."""
    runner = LocalRunner(root=tmp_path / "jobs", command=(sys.executable, TINY_JOB), grace_seconds=0.3)
    yield runner
    for directory in (tmp_path / "jobs").glob("*"):
        found = runner.find(directory.name)
        if found:
            runner.cancel(found)


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    """Return arguments of a job that ends once the file ``until`` exists."""
    return {"starts": str(tmp_path / "starts"), "until": str(tmp_path / "until"), "child": str(tmp_path / "child")}


def _starts(arguments: dict[str, Any]) -> int:
    path = Path(arguments["starts"])
    return len(path.read_text().split()) if path.exists() else 0


def _until(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def _end(runner: SparkRunner, handle: JobHandle) -> JobState:
    _until(lambda: not runner.status(handle).is_active)
    return runner.status(handle).state


def test_a_job_runs_and_reports(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """A job that ends well gives its result back."""
    Path(arguments["until"]).touch()
    handle = runner.submit("work", arguments, TOKEN)
    assert _end(runner, handle) is JobState.SUCCEEDED
    assert runner.result(handle)["rows"] == 3


def test_a_failed_job_says_why(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """The job's own reason and error class arrive, not merely that it failed."""
    Path(arguments["until"]).touch()
    handle = runner.submit("fail", arguments, TOKEN)
    assert _end(runner, handle) is JobState.FAILED
    status = runner.status(handle)
    assert (status.reason, status.error_type) == ("the drop is empty", "InputError")


def test_the_same_token_never_starts_a_second_job(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """A retry that submits again is given the job that runs."""
    first = runner.submit("work", arguments, TOKEN)
    _until(lambda: _starts(arguments) == 1)
    assert runner.submit("work", arguments, TOKEN) == first == runner.find(TOKEN)
    assert runner.find("ff" * 8) is None
    Path(arguments["until"]).touch()
    assert _end(runner, first) is JobState.SUCCEEDED
    assert runner.submit("work", arguments, TOKEN) == first
    assert _starts(arguments) == 1


def test_a_job_outlives_the_worker_that_started_it(
    runner: LocalRunner, arguments: dict[str, Any], tmp_path: Path
) -> None:
    """The worker is killed with SIGKILL; another process finds the job running and takes its result."""
    worker = textwrap.dedent(f"""
        import json, os, signal, sys
        from pathlib import Path
        from airflow_lakehouse.hooks.spark import LocalRunner
        runner = LocalRunner(root=Path({str(tmp_path / "jobs")!r}), command=({sys.executable!r}, {TINY_JOB!r}))
        runner.submit("work", json.loads({json.dumps(arguments)!r}), {TOKEN!r})
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    died = subprocess.run([sys.executable, "-c", worker], check=False)
    assert died.returncode == -signal.SIGKILL
    handle = runner.find(TOKEN)
    assert handle is not None
    assert runner.status(handle).state is JobState.RUNNING
    Path(arguments["until"]).touch()
    assert _end(runner, handle) is JobState.SUCCEEDED
    assert _starts(arguments) == 1


def test_cancel_stops_the_job(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """A cancelled job ends, and says that it was cancelled; cancelling it again does nothing."""
    handle = runner.submit("work", arguments, TOKEN)
    _until(lambda: _starts(arguments) == 1)
    runner.cancel(handle)
    assert runner.status(handle).state is JobState.CANCELLED
    runner.cancel(handle)


def test_cancel_kills_a_job_that_will_not_end_and_its_children(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """A job that ignores SIGTERM is killed after the grace time, with the processes it started."""
    handle = runner.submit("stubborn", arguments, TOKEN)
    _until(lambda: Path(arguments["child"]).exists() and Path(arguments["child"]).read_text())
    child = int(Path(arguments["child"]).read_text())
    runner.cancel(handle)
    assert runner.status(handle).state is JobState.CANCELLED
    _until(lambda: find_process(child) is None)


def test_a_job_that_ended_well_is_not_cancelled(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """Cancelling too late leaves a success a success."""
    Path(arguments["until"]).touch()
    handle = runner.submit("work", arguments, TOKEN)
    assert _end(runner, handle) is JobState.SUCCEEDED
    runner.cancel(handle)
    assert runner.status(handle).state is JobState.SUCCEEDED


def test_a_crash_names_its_cause_and_the_log(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """A job killed from outside is told apart from one that failed, and the log can be found."""
    handle = runner.submit("crash", arguments, TOKEN)
    assert _end(runner, handle) is JobState.FAILED
    reason = runner.status(handle).reason
    assert "SIGKILL" in reason
    assert str(Path(handle.location) / "log") in reason
    with pytest.raises(JobError, match="SIGKILL"):
        runner.result(handle)


def test_logs_are_followed_without_record_text(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """Each of the package's log lines comes once; what else was printed stays in the file."""
    handle = runner.submit("work", arguments, TOKEN)
    _until(lambda: _starts(arguments) == 1)
    lines, position = runner.follow_logs(handle, 0)
    assert [line.rpartition(" ")[2] for line in lines] == ["started"]
    assert runner.follow_logs(handle, position) == ([], position)
    assert "Jane Roe" in (Path(handle.location) / "log").read_text()


def test_a_job_without_a_log_is_no_failure(runner: LocalRunner) -> None:
    """Following the log of a job whose directory is gone gives nothing and does not raise."""
    gone = JobHandle("local", TOKEN, "work", "/nowhere/at/all")
    assert runner.follow_logs(gone, 7) == ([], 7)
    with pytest.raises(JobError, match="is gone"):
        runner.status(gone)


def test_handles_travel(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """A handle survives JSON and pickle, as triggers and task stores need."""
    handle = runner.submit("work", arguments, TOKEN)
    assert JobHandle.from_dict(json.loads(json.dumps(handle.as_dict()))) == handle
    assert pickle.loads(pickle.dumps(handle)) == handle  # noqa: S301 - our own


def test_a_job_whose_start_nobody_wrote_down_is_not_started_again(
    runner: LocalRunner, arguments: dict[str, Any]
) -> None:
    """The worker is killed between starting the process and writing down which it is: the next one finds it running.

    So does one that comes after it has ended.
    """
    handle = runner.submit("work", arguments, TOKEN)
    record = Path(handle.location, "job.json")
    for state in (JobState.RUNNING, JobState.SUCCEEDED):
        before = json.loads(record.read_text())
        record.unlink()
        assert runner.find(TOKEN) is None
        assert runner.submit("work", arguments, TOKEN) == handle
        assert json.loads(record.read_text())["pid"] == before["pid"]
        assert runner.status(handle).state is state
        Path(arguments["until"]).touch()
        assert _end(runner, handle) is JobState.SUCCEEDED
    assert _starts(arguments) == 1


def test_secrets_of_airflow_stay_with_airflow(
    runner: LocalRunner, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's configuration, with its keys and passwords, is not in the job's environment.

    Nor is how pyspark marks a process with a session over Connect: spark-submit's driver would look for its server.
    """
    private = ["AIRFLOW__CORE__FERNET_KEY", "SPARK_CONNECT_MODE_ENABLED"]
    for name in private:
        monkeypatch.setenv(name, "not for jobs")
    monkeypatch.setenv("OF_THE_USER", "for jobs")
    Path(arguments["until"]).touch()
    handle = runner.submit("work", {**arguments, "private": [*private, "OF_THE_USER"]}, TOKEN)
    assert _end(runner, handle) is JobState.SUCCEEDED
    assert runner.result(handle)["kept"] == ["OF_THE_USER"]


def test_a_job_of_another_machine_is_said_to_be_one(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """A triggerer elsewhere says so, instead of calling a running job dead."""
    handle = replace(runner.submit("work", arguments, TOKEN), host="another.example")
    with pytest.raises(JobError, match=r"runs on another\.example"):
        runner.status(handle)


def test_a_recycled_process_id_is_not_the_job(runner: LocalRunner, arguments: dict[str, Any]) -> None:
    """Liveness asks for the start time too: another process with the job's number is left alone."""
    handle = runner.submit("work", arguments, TOKEN)
    record = Path(handle.location) / "job.json"
    before = json.loads(record.read_text())
    record.write_text(json.dumps({**before, "process": "another boot:1"}))
    assert runner.status(handle).state is JobState.FAILED
    runner.cancel(handle)
    assert is_running(before["pid"], before["process"])
    record.write_text(json.dumps(before))


def test_where_jobs_cannot_be_kept_is_said(tmp_path: Path, arguments: dict[str, Any]) -> None:
    """A jobs directory that cannot be made is an error with a remedy, not a stack trace from mkdir."""
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="LAKEHOUSE_JOBS_DIR"):
        LocalRunner(root=tmp_path / "file" / "jobs").submit("work", arguments, TOKEN)


def test_tokens_are_checked(runner: LocalRunner) -> None:
    """A token becomes a directory's name, so nothing but hexadecimal digits is taken."""
    with pytest.raises(JobError, match="hexadecimal"):
        runner.find("../../etc")


def test_old_jobs_are_cleared_away(runner: LocalRunner, arguments: dict[str, Any], tmp_path: Path) -> None:
    """Directories of jobs that ended long ago go; those of running jobs stay, however old."""
    Path(arguments["until"]).touch()
    ended = runner.submit("work", arguments, "aa" * 8)
    _end(runner, ended)
    running = runner.submit("work", {**arguments, "until": str(tmp_path / "never")}, "bb" * 8)
    for handle in (ended, running):
        os.utime(handle.location, (0, 0))
    runner.submit("work", arguments, TOKEN)
    assert not Path(ended.location).exists()
    assert Path(running.location).exists()


def test_runners_are_found_by_name() -> None:
    """The connection's word gives the runner; an unknown one is refused with those there are."""
    assert isinstance(runner_named("local"), LocalRunner)
    with pytest.raises(ConfigurationError, match="local"):
        runner_named("mainframe")


def test_a_profile_builds_its_runner(tmp_path: Path) -> None:
    """The options of the connection arrive in the runner; what it does not take is refused with what it does."""
    profile = Profile(str(tmp_path), scripts="s3://b/s", runner_options={"root": str(tmp_path), "grace_seconds": 2})
    assert runner_of(profile) == LocalRunner(root=tmp_path, grace_seconds=2)
    with pytest.raises(ConfigurationError, match=r"takes no aplication_id.*root"):
        runner_of(Profile(str(tmp_path), runner_options={"aplication_id": "x"}))


def test_options_build_the_runner_again(runner: LocalRunner) -> None:
    """A trigger or another process gets the same runner from what JSON can hold."""
    assert runner_from(runner.name, json.loads(json.dumps(runner.options()))) == runner
