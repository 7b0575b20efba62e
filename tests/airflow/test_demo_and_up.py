"""``lakehouse demo`` and ``lakehouse up`` where something is in the way, and what the demo reports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.cli import demo, demo_report, main
from airflow_lakehouse.cli.airflow_home import AirflowHome
from airflow_lakehouse.cli.demo import Run
from airflow_lakehouse.cli.up import Airflow, check_port, free_port, stop_leftovers
from airflow_lakehouse.exceptions import JobError, UsageError
from airflow_lakehouse.hooks.spark.process import find_process, is_running
from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    from pathlib import Path


def test_a_drop_that_is_not_there_is_said_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the path, exit 2, and nothing left behind."""
    for command in ("demo", "up"):
        given = [command, "--raw", str(tmp_path / "nowhere"), "--home", str(tmp_path / "home")]
        assert main(given) == 2
        error = capsys.readouterr().err
        assert str(tmp_path / "nowhere") in error
        assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "home").exists()


def test_a_port_in_use_is_said_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the port and offers one that is free; nothing is left behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["up", "--port", str(port), "--home", str(tmp_path / "home")]) == 2
    error = capsys.readouterr().err
    assert str(port) in error
    assert "lakehouse up --port" in error
    assert not (tmp_path / "home").exists()
    check_port(free_port())
    with pytest.raises(UsageError, match="70000"):
        check_port(70000)


def test_what_a_killed_up_left_running_is_stopped(tmp_path: Path) -> None:
    """Its processes are known by number and start time, so that they and no others are stopped."""
    airflow = Airflow(AirflowHome(tmp_path), free_port())
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    started = {"scheduler": [left.pid, find_process(left.pid)], "triggerer": [other.pid, "another boot:1"]}
    airflow.state_file.write_text(json.dumps({"address": "x", "own": [1, "another boot:1"], "started": started}))
    try:
        stop_leftovers(airflow)
        assert left.wait(10) != 0
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


def test_a_home_that_is_up_is_not_started_twice(tmp_path: Path) -> None:
    """The message says where it is up."""
    airflow = Airflow(AirflowHome(tmp_path), free_port())
    own = (os.getpid(), find_process(os.getpid()))
    assert is_running(*own)
    airflow.state_file.write_text(json.dumps({"address": "http://127.0.0.1:1", "own": own, "started": {}}))
    with pytest.raises(UsageError, match=r"already up at http://127\.0\.0\.1:1"):
        stop_leftovers(airflow)


def test_settings_of_another_airflow_do_not_reach_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own Airflow settings are left out; the home's connection is the profile."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://elsewhere")
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "http://elsewhere")
    environ = AirflowHome(tmp_path, tmp_path / "raw").environ()
    assert "elsewhere" not in json.dumps(environ)
    extra = json.loads(environ["AIRFLOW_CONN_LAKEHOUSE"])["extra"]
    assert (extra["raw"], extra["warehouse"]) == (str(tmp_path / "raw"), str(tmp_path / "warehouse"))


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A file where the home should be is a usage error, not a stack trace."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--home"):
        AirflowHome(tmp_path / "file" / "home").prepare()


def test_a_failed_task_is_named_with_its_reason_and_the_log(tmp_path: Path) -> None:
    """Of several failures the first is told; a task that a retry mended is none."""
    run = Run()
    for event in (
        {"event": "execute", "task": "bronze", "try": 1},
        {"event": "retry", "task": "bronze", "reason": "engine gone"},
        {"event": "success", "task": "bronze", "result": {"files": 1}},
        {"event": "failure", "task": "silver", "reason": "InputError:\n the drop is empty"},
        {"event": "end", "state": "failed"},
    ):
        run.take(event)
    with pytest.raises(JobError, match=r"task silver failed: InputError: the drop is empty.*demo\.log"):
        demo.raise_for(run, AirflowHome(tmp_path))
    assert set(run.stages()) == {"bronze", "silver"}


def test_counts_are_told_in_words() -> None:
    """A person reads counts, not a mapping."""
    assert demo_report.in_words({"files": 1, "dt": ["a", "b"]}) == "1 file, 2 days"
    tables = {"t": {"rows": 9, "added": 1200}}
    assert demo_report.in_words({"tables": tables, "quarantine": {"X": 2}}) == "1,200 rows added, 2 quarantined"
    assert demo_report.in_words({"status": "unchanged", "tables": {}}) == "nothing new"


def test_only_commands_that_still_work_are_advised(tmp_path: Path) -> None:
    """Tables on disk can be shown after the run; those of servers that ended with it cannot."""
    home = AirflowHome(tmp_path)
    assert f"lakehouse show silver_dim_patient --warehouse {tmp_path}" in demo_report.what_next(home)
    gone = replace(home, lakehouse=Profile("s3://gone/warehouse", catalog="glue"))
    assert "gone" not in demo_report.what_next(gone)
    assert "make demo " in demo_report.what_next(gone)
