"""``lakehouse up``: Airflow with the example DAG on this machine, until Ctrl-C."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.cli.airflow_home import (
    DAG_ID,
    AirflowHome,
    check_raw,
    default_home,
    stop_jobs,
    write_sample_input,
)
from airflow_lakehouse.exceptions import EngineError, UsageError
from airflow_lakehouse.hooks.spark.process import find_process, is_running
from airflow_lakehouse.spark.engine.connect_server import running_server, stop_unused_server

if TYPE_CHECKING:
    import argparse

HOST: Final = "127.0.0.1"
COMPONENTS: Final = ("api-server", "scheduler", "dag-processor", "triggerer")
HEALTH_SECONDS: Final = 180
STOP_SECONDS: Final = 25
_HEALTHY: Final = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_PRIVATE: Final = 0o600


@dataclass
class Airflow:
    """The processes of one Airflow.

    :param home: where it lives.
    :param port: where its API and pages are served, on the loopback address.
    """

    home: AirflowHome
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where the pages are."""
        return f"http://{HOST}:{self.port}"

    @property
    def state_file(self) -> Path:
        """Which processes an ``up`` of this home has started."""
        return self.home.root / "up.json"

    def start(self, password: str) -> None:
        """Start every component.

        :param password: of the user ``admin``.
        """
        environ = self._environ(password)
        for name in COMPONENTS:
            with (self.home.logs / f"{name}.log").open("wb") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "airflow", name, *self._options(name)],
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # Ctrl-C must reach this process alone; it then stops the components one by one.
                    start_new_session=True,
                )
        started = {name: [process.pid, find_process(process.pid)] for name, process in self.processes.items()}
        own = [os.getpid(), find_process(os.getpid())]
        self.state_file.write_text(json.dumps({"address": self.address, "own": own, "started": started}))

    def wait_until_healthy(self) -> None:
        """Wait until every component reports itself.

        :raises EngineError: when one ends or they take too long.
        """
        deadline = time.monotonic() + HEALTH_SECONDS
        while time.monotonic() < deadline:
            self.check()
            health = self._health()
            if all((health.get(name) or {}).get("status") == "healthy" for name in _HEALTHY):
                return
            time.sleep(0.5)
        raise EngineError(
            f"Airflow was not ready after {HEALTH_SECONDS} s", remedy=f"read the logs in {self.home.logs}"
        )

    def check(self) -> None:
        """Make sure that all components run.

        :raises EngineError: when one has ended; the message names its log.
        """
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = self.home.logs / f"{name}.log"
                raise EngineError(f"Airflow's {name} ended with exit code {process.returncode}", remedy=f"read {log}")

    def stop(self) -> None:
        """Stop every component by its own process id, and kill what does not end in time."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            with suppress(ProcessLookupError):
                # Each component leads a group of its own; this takes workers it may have left behind.
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.state_file.unlink(missing_ok=True)

    def _environ(self, password: str) -> dict[str, str]:
        passwords = self.home.airflow / "passwords.json"
        passwords.touch(_PRIVATE)
        passwords.chmod(_PRIVATE)
        passwords.write_text(json.dumps({"admin": password}))
        return {
            **self.home.environ(),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.address}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__API__BASE_URL": self.address,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            # Every component signs and checks with the same one; a new one each time ends old sessions.
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            # There is a triggerer here, so waiting costs no worker.
            "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
        }

    def _options(self, name: str) -> list[str]:
        if name == "api-server":
            return ["--host", HOST, "--port", str(self.port), "--workers", "1"]
        # Logs are read from the same disk; serving them would open ports on every address of the machine.
        return ["--skip-serve-logs"] if name in ("scheduler", "triggerer") else []

    def _health(self) -> dict[str, Any]:
        url = f"{self.address}/api/v2/monitor/health"
        with suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - http alone
            health: dict[str, Any] = json.load(answer)
            return health
        return {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``lakehouse up``.

    :param parser: of the subcommand.
    """
    parser.add_argument("--port", type=int, default=8080, help="port on the loopback address (default: %(default)s)")
    parser.add_argument("--raw", type=Path, help="a raw drop of yours (default: sample input)")
    parser.add_argument(
        "--home", type=Path, default=default_home(), help="where everything is kept (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Start Airflow, say where it is, and stay until Ctrl-C.

    :param args: parsed options.
    :return: exit code.
    """
    check_raw(args.raw)
    airflow = Airflow(AirflowHome(args.home.absolute(), args.raw and args.raw.absolute()), args.port)
    # Before anything is started: what cannot work must leave nothing behind.
    stop_leftovers(airflow)
    check_port(args.port)
    airflow.home.prepare()
    if args.raw is None:
        write_sample_input(airflow.home)
    engine_before = running_server() is not None
    password = secrets.token_urlsafe(12)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Ctrl-C too: a process started in the background by a script inherits that it is ignored.
        signal.signal(number, _interrupt)
    try:
        sys.stderr.write("Starting Airflow; this takes half a minute.\n")
        airflow.start(password)
        airflow.wait_until_healthy()
        sys.stdout.write(_welcome(airflow, password))
        sys.stdout.flush()
        while True:
            airflow.check()
            time.sleep(1)
    except KeyboardInterrupt:
        sys.stderr.write("\nStopping ...\n")
        return 0
    finally:
        # A second Ctrl-C while stopping would leave half of it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        airflow.stop()
        stop_jobs(airflow.home.jobs)
        if not engine_before:
            stop_unused_server()


def check_port(port: int) -> None:
    """Refuse a port that cannot be served on.

    :param port: port on the loopback address.
    :raises UsageError: when it is taken or may not be used.
    """
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"port {port} cannot be used: {why}", remedy=f"lakehouse up --port {free_port()}"
            ) from error


def free_port() -> int:
    """Return a port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def stop_leftovers(airflow: Airflow) -> None:
    """Stop what an ``up`` of this home that was killed has left running.

    :param airflow: with the home.
    :raises UsageError: when the home is up now.
    """
    try:
        state = json.loads(airflow.state_file.read_text())
    except (OSError, ValueError):
        return
    if is_running(*state["own"]):
        raise UsageError(
            f"this home is already up at {state['address']}", remedy="stop it there with Ctrl-C, or give --home"
        )
    for pid, process in state["started"].values():
        if is_running(pid, process):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and any(is_running(*started) for started in state["started"].values()):
        time.sleep(0.1)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _welcome(airflow: Airflow, password: str) -> str:
    return "\n".join(
        (
            f"Airflow is up at {airflow.address}/dags/{DAG_ID}",
            f"  sign in        admin / {password}",
            f"  raw drop       {airflow.home.profile.raw}",
            f"  warehouse      {airflow.home.profile.warehouse}",
            f"  logs           {airflow.home.logs}",
            "Press Trigger there to run the pipeline. What it made is then shown by",
            f"  lakehouse tables --warehouse {airflow.home.profile.warehouse}",
            "Ctrl-C stops it.\n",
        )
    )
