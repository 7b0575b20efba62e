"""A whole Airflow in a folder, of the environment the tests run in: scheduler, triggerer and what else it has."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from airflow_lakehouse.spark.engine.sockets import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 240


class RealAirflow:
    """An Airflow that runs.

    :param home: its folder.
    :param variables: environment of its processes.
    """

    def __init__(self, home: Path, variables: dict[str, str]) -> None:
        self.home = home
        self.variables = variables
        self.log = home / "standalone.log"
        self.started: list[subprocess.Popen[bytes]] = []
        self.process = self.start("standalone")

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Start a component of it; the first is the group of all others."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", command],
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=self.process.pid if self.started else 0,
            )
        self.started.append(process)
        return process

    def stop(self) -> None:
        """Stop all of it: by its group, and then what has left the group, as Airflow 2's reader of DAG files does."""
        every: list[psutil.Process] = []
        for one in self.started:
            with suppress(psutil.NoSuchProcess):
                every += [psutil.Process(one.pid), *psutil.Process(one.pid).children(recursive=True)]
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        _, alive = psutil.wait_procs(every, 15)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for one in self.started:
            one.wait()

    def kill(self, command: str) -> None:
        """Kill a component and all it has started, with SIGKILL."""
        standalone = psutil.Process(self.process.pid)
        found = [child for child in standalone.children() if command in _words(child)]
        assert found, [_words(child) for child in standalone.children()]
        for process in [*found, *(one for child in found for one in child.children(recursive=True))]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def rows(self, question: str, *values: Any) -> list[Any]:
        """Ask its database; nothing, while there is none yet."""
        try:
            with closing(sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True, timeout=30)) as database:
                return database.execute(question, values).fetchall()
        except sqlite3.OperationalError:
            return []

    def wait_for(self, wanted: tuple[Any, ...], question: str, *values: Any) -> None:
        """Wait for an answer of the database; fail with what there is, and with the logs."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.rows(question, *values)
            if wanted in found:
                return
            if ("failed",) in found:
                break
            time.sleep(0.3)
        logs = [self.log, *sorted((self.home / "logs").rglob("attempt=*.log"))]
        tails = ("\n".join([str(log), *log.read_text(errors="replace").splitlines()[-30:]]) for log in logs)
        raise AssertionError("\n".join([f"no {wanted} of {question}: {self.rows(question, *values)}", *tails]))

    def wait_for_task(self, task: str, state: str) -> None:
        """Wait until a task is in a state."""
        self.wait_for((state,), "select state from task_instance where task_id = ?", task)

    def wait_for_run(self, dag: str, state: str) -> None:
        """Wait until a run of a DAG is in a state."""
        self.wait_for((state,), "select state from dag_run where dag_id = ?", dag)

    def run(self, *command: str) -> str:
        """Run an ``airflow`` command in it."""
        program = [sys.executable, "-m", "airflow", *command]
        done = subprocess.run(program, env=environ(self.home), capture_output=True, text=True, check=False, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _words(process: psutil.Process) -> list[str]:
    """Return the command line of a process; none of one that has just ended."""
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


def environ(home: Path, port: int | None = None) -> dict[str, str]:
    """Return the variables of every process of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW"))}
    own = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        # A worker that is gone is missed after seconds, not after five minutes.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "3",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONWARNINGS": "ignore",
    }
    if port is not None:
        ports = {"AIRFLOW__WEBSERVER__WEB_SERVER_PORT": port, "AIRFLOW__API__PORT": port}
        ports |= {f"AIRFLOW__LOGGING__{name}_LOG_SERVER_PORT": free_port() for name in ("WORKER", "TRIGGER")}
        own |= {name: str(value) for name, value in ports.items()}
        own |= {f"AIRFLOW__{name}_HOST": "127.0.0.1" for name in ("API_", "WEBSERVER__WEB_SERVER")}
        # With several, uvicorn kills those that do not answer within five seconds: on a busy machine, all of them.
        own |= {"AIRFLOW__API__WORKERS": "1", "AIRFLOW__WEBSERVER__WORKERS": "1"}
        own["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"http://127.0.0.1:{port}/execution/"
    return {**kept, **own}


@contextmanager
def real_airflow(home: Path, **variables: str) -> Iterator[RealAirflow]:
    """Run ``airflow standalone`` on DAG files in ``<home>/dags``; all it started ends with the block."""
    airflow = RealAirflow(home, {**environ(home, free_port()), **variables})
    try:
        yield airflow
    finally:
        airflow.stop()
