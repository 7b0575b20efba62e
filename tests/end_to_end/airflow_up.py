"""A running ``lakehouse up``, and its API."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.cli.up import free_port

if TYPE_CHECKING:
    from pathlib import Path


class Up:
    """A running ``lakehouse up``.

    :param folder: its own, with a drop at ``raw``.
    """

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

    def stop(self) -> None:
        """Stop it, if it still runs, and take its home away."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        shutil.rmtree(self.home, ignore_errors=True)

    def sign_in(self) -> None:
        """Wait for the address and the password, and sign in with them."""
        deadline = time.monotonic() + 240
        while not (found := re.search(r"admin / (\S+)", self.output.read_text())):
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.5)
        self.token = self.ask("/auth/token", {"username": "admin", "password": found[1]})["access_token"]

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> dict[str, Any]:
        """Ask Airflow's API."""
        headers = {
            "content-type": "application/json",
            **({"authorization": f"Bearer {self.token}"} if self.token else {}),
        }
        data = json.dumps(body).encode() if body is not None else None
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method or ("GET" if body is None else "POST"), path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        assert answer.status < 300, (answer.status, path, text)
        return dict(json.loads(text))

    def wait_for_dag(self, dag: str = "lakehouse") -> None:
        """Wait until the scheduler knows the DAG."""
        deadline = time.monotonic() + 120
        while dag not in {known["dag_id"] for known in self.ask("/api/v2/dags")["dags"]}:
            assert time.monotonic() < deadline
            time.sleep(1)

    def start(self, dag: str = "lakehouse", conf: dict[str, Any] | None = None) -> str:
        """Trigger a run and return its address in the API."""
        run = self.ask(f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf or {}})["dag_run_id"]
        return f"/api/v2/dags/{dag}/dagRuns/{run}"

    def state(self, run: str) -> str:
        """Return the state of a run."""
        return str(self.ask(run)["state"])

    def wait(self, run: str) -> str:
        """Return the state in which a run ends."""
        deadline = time.monotonic() + 600
        while (state := self.state(run)) in ("queued", "running"):
            assert time.monotonic() < deadline
            time.sleep(2)
        return state

    def tasks(self, run: str) -> list[dict[str, Any]]:
        """Return the tasks of a run."""
        return list(self.ask(f"{run}/taskInstances")["task_instances"])

    def errors(self, run: str, task: str) -> set[str]:
        """Return the types of the errors that ended a task's first try."""
        path = f"{run}/taskInstances/{task}/logs/1?full_content=true"
        details = (line.get("error_detail") or [] for line in self.ask(path)["content"])
        return {error["exc_type"] for detail in details for error in detail}
