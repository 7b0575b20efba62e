"""One Spark Connect server on this machine, shared by every job, task and dbt model.

A JVM takes ten seconds to start and two gigabytes to live. The first caller starts one, on the loopback address
and behind a token; everybody else finds it by its state file. A supervisor process stops it once nobody has held
a lease for the idle time.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import EngineError
from airflow_lakehouse.spark.engine import remote, sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

REMOTE_VARIABLE: Final = "LAKEHOUSE_SPARK_REMOTE"
"""Environment variable with the address of a Spark Connect server that somebody else runs."""
STATE_VARIABLE: Final = "LAKEHOUSE_ENGINE_STATE"
"""Environment variable with the directory of the state file; one server a directory."""
START_SECONDS: Final = 120
_STOP_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    :param remote: address with token, as ``SparkSession.builder.remote`` takes it. A secret: never logged.
    :param pid: process id of the supervisor, or 0 for a server that somebody else runs.
    """

    remote: str
    pid: int = 0


def state_dir() -> Path:
    """Return the directory of this environment's server state, private to the user."""
    given = os.environ.get(STATE_VARIABLE)
    if given:
        return Path(given)
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    # One server an environment: two versions of pyspark cannot talk to one server.
    return base / "airflow-lakehouse" / f"engine-{sha256(sys.prefix.encode()).hexdigest()[:12]}"


def ensure_server() -> Server:
    """Return the running server; start it if there is none.

    :raises EngineError: when it does not come up; the message names its log.
    """
    given = os.environ.get(REMOTE_VARIABLE)
    if given:
        sockets.check_reachable(given, REMOTE_VARIABLE)
        return Server(given)
    file = remote.named_file()
    if file:
        named = remote.read(file)
        sockets.check_reachable(named.url, remote.FILE_VARIABLE)
        return Server(named.address)
    directory = state_dir()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(directory / "start.lock"):
        server = running_server()
        if server and _code_of(directory) != code_stamp() and not held_leases(directory):
            # Its Python workers keep the code they once imported: after an upgrade they would parse as the old version.
            stop_server()
            server = None
        return server or _start(directory)


def is_elsewhere() -> bool:
    """Tell whether the server is one that somebody else runs, on a machine that may be another."""
    return bool(os.environ.get(REMOTE_VARIABLE) or remote.named_file())


def running_server() -> Server | None:
    """Return the server that runs, or None."""
    try:
        state = json.loads((state_dir() / "engine.json").read_text())
        server = Server(state["remote"], state["pid"])
    except (OSError, ValueError, KeyError):
        return None
    return server if sockets.listens(state["port"]) and is_alive(state["pid"]) else None


def stop_server() -> bool:
    """Stop the server of this environment, by its process id.

    :return: whether there was one.
    """
    server = running_server()
    if server is None:
        return False
    os.kill(server.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while is_alive(server.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    return True


def stop_unused_server() -> bool:
    """Stop the server unless somebody holds a lease on it: a job of another process must not lose it.

    :return: whether it was stopped.
    """
    return not held_leases(state_dir()) and stop_server()


@contextmanager
def hold_server() -> Iterator[Server]:
    """Keep the server from being stopped as idle for as long as the block lasts.

    The lease is a lock, not a timestamp: the kernel drops it when its holder dies, however it dies.
    """
    server = ensure_server()
    if not server.pid:
        yield server
        return
    leases = state_dir() / "leases"
    leases.mkdir(exist_ok=True)
    path = leases / f"{os.getpid()}-{time.monotonic_ns()}"
    with path.open("w") as lease:
        fcntl.flock(lease, fcntl.LOCK_EX)
        try:
            yield server
        finally:
            path.unlink(missing_ok=True)


def write_state(directory: Path, *, remote: str, port: int, pid: int) -> None:
    """Publish a server that listens. Called by the supervisor.

    :param directory: the state directory.
    :param remote: address with token.
    :param port: port on the loopback address.
    :param pid: process id of the supervisor.
    """
    partial = directory / "engine.json.partial"
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        json.dump({**asdict(Server(remote, pid)), "port": port, "code": code_stamp()}, stream)
    partial.replace(directory / "engine.json")


def code_stamp() -> str:
    """Return a digest of this package's files as they are on disk."""
    root = Path(__file__).parents[2]
    seen = sorted((path.relative_to(root).as_posix(), path.stat().st_mtime_ns) for path in root.rglob("*.py"))
    return sha256(repr(seen).encode()).hexdigest()[:16]


def _code_of(directory: Path) -> str | None:
    try:
        return str(json.loads((directory / "engine.json").read_text()).get("code"))
    except (OSError, ValueError):
        return None


def held_leases(directory: Path) -> int:
    """Count the leases somebody holds; those of the dead are cleared away.

    :param directory: the state directory.
    """
    held = 0
    for path in (directory / "leases").glob("*"):
        try:
            with path.open() as lease:
                fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
        except BlockingIOError:
            held += 1
        except FileNotFoundError:
            continue
    return held


def is_alive(pid: int) -> bool:
    """Tell whether a process of that id runs; a zombie does not.

    :param pid: process id.
    """
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start(directory: Path) -> Server:
    log = directory / "engine.log"
    with log.open("wb") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "airflow_lakehouse.spark.engine.connect_supervisor", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A session of its own: Ctrl-C in the terminal of the first caller must not kill everybody's server.
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        server = running_server()
        if server and server.pid == supervisor.pid:
            return server
        if supervisor.poll() is not None:
            break
        time.sleep(0.1)
    if supervisor.poll() is None:
        supervisor.terminate()
    raise EngineError(_why(log), remedy=f"read {log}; 'lakehouse doctor' checks Java, jars and memory")


def _why(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if "Remedy:" in line or "Error" in line]
    return f"the local Spark engine did not start ({lines[-1].strip() if lines else 'no reason given'})"


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
