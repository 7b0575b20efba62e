"""A real S3 server for tests: ministack, in an environment of its own, on the loopback address."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import EngineError, SetupError
from airflow_lakehouse.spark import sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

MINISTACK: Final = "ministack==1.5.33"
ENDPOINT_VARIABLE: Final = "LAKEHOUSE_TEST_S3"
"""Environment variable with the address of an S3 server that somebody else runs, for the fixture ``s3_server``."""
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
"""What the server takes, as environment variables."""
_START_SECONDS: Final = 60


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server and stop it, by its process id.

    :return: its address.
    :raises SetupError: when it cannot be installed.
    :raises EngineError: when it does not start.
    """
    given = os.environ.get(ENDPOINT_VARIABLE)
    if given:
        yield given
        return
    program, port = _installed(), sockets.free_port()
    # It would listen on every address of the machine, and asks nobody for a password.
    own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "s3", "LOG_LEVEL": "ERROR"}
    server = subprocess.Popen(
        [str(program)],
        env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(server, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _installed() -> Path:
    from airflow_lakehouse.dbt.environment import clean_environ, install_commands, locked

    target = Path(sys.prefix) / "share" / "airflow-lakehouse" / MINISTACK.replace("==", "-")
    program, ready = target / "bin" / "ministack", target / ".ready"
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_name(f"{target.name}.lock")):
        if not ready.exists():
            for command in install_commands(target, MINISTACK):
                done = subprocess.run(command, env=clean_environ(), capture_output=True, check=False)
                if done.returncode:
                    raise SetupError(
                        f"{MINISTACK} cannot be installed in {target}",
                        remedy=f"give pip an index it reaches, or set {ENDPOINT_VARIABLE} to a server that runs",
                    )
            ready.touch()
    return program


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if sockets.listens(port):
            return
        time.sleep(0.05)
    raise EngineError(f"{MINISTACK} does not listen on port {port}", remedy=f"or set {ENDPOINT_VARIABLE}")
