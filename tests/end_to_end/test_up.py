"""``lakehouse up``: the same DAG under Airflow's scheduler, deferring to its triggerer."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.up import free_port
from airflow_lakehouse.hooks.spark.process import is_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(900)]

_AIRFLOWS_OWN = {"AirflowRuntimeError", "ServerResponseError"}


class Up:
    """A running ``lakehouse up``."""

    def __init__(self, folder: Path) -> None:
        self.home, self.port, self.output = folder / "home", free_port(), folder / "output"
        command = [sys.executable, "-m", "airflow_lakehouse.cli", "up", "--port", str(self.port)]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--home", str(self.home), "--raw", str(folder / "raw")],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.token = ""

    def sign_in(self) -> None:
        """Wait for the address and the password, and sign in with them."""
        deadline = time.monotonic() + 240
        while not (found := re.search(r"admin / (\S+)", self.output.read_text())):
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.5)
        self.token = self.ask("/auth/token", {"username": "admin", "password": found[1]})["access_token"]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask Airflow's API."""
        headers = {
            "content-type": "application/json",
            **({"authorization": f"Bearer {self.token}"} if self.token else {}),
        }
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - http alone
            return dict(json.load(answer))

    def errors(self, run: str, task: str) -> set[str]:
        """The types of the errors that ended a task's first try."""
        path = f"/api/v2/dags/lakehouse/dagRuns/{run}/taskInstances/{task}/logs/1?full_content=true"
        details = (line.get("error_detail") or [] for line in self.ask(path)["content"])
        return {error["exc_type"] for detail in details for error in detail}

    def wait_for_dag(self) -> None:
        """Wait until the scheduler knows the DAG."""
        deadline = time.monotonic() + 120
        while "lakehouse" not in {dag["dag_id"] for dag in self.ask("/api/v2/dags")["dags"]}:
            assert time.monotonic() < deadline
            time.sleep(1)


@pytest.fixture
def up(tmp_path: Path, write_drop: Callable[[Path], None]) -> Iterator[Up]:
    """Start ``lakehouse up`` on a small drop; stop it at the end."""
    write_drop(tmp_path / "raw")
    up = Up(tmp_path)
    yield up
    if up.process.poll() is None:
        up.process.send_signal(signal.SIGTERM)
        up.process.wait(60)
    shutil.rmtree(up.home, ignore_errors=True)


def test_the_dag_runs_under_a_scheduler_and_ctrl_c_stops_everything(up: Up) -> None:
    """A run triggered over the API goes green; Ctrl-C then ends every process and frees the port."""
    up.sign_in()
    up.wait_for_dag()
    run = up.ask("/api/v2/dags/lakehouse/dagRuns", {"logical_date": None})["dag_run_id"]
    deadline = time.monotonic() + 600
    while (state := up.ask(f"/api/v2/dags/lakehouse/dagRuns/{run}")["state"]) in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(2)
    tasks = up.ask(f"/api/v2/dags/lakehouse/dagRuns/{run}/taskInstances")["task_instances"]
    assert state == "success", {task["task_id"]: task["state"] for task in tasks}
    again = {task["task_id"]: up.errors(run, task["task_id"]) for task in tasks if task["try_number"] != 1}
    # A try may be lost to Airflow's own database, one file for five processes; none may be lost to us.
    assert all(errors <= _AIRFLOWS_OWN for errors in again.values()), again

    started = json.loads((up.home / "up.json").read_text())["started"].values()
    assert all(is_running(*process) for process in started)
    os.kill(up.process.pid, signal.SIGINT)
    assert up.process.wait(90) == 0
    assert not any(is_running(*process) for process in started)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", up.port)) != 0
