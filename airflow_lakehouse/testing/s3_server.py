"""Real servers for tests, each in an environment of its own, on the loopback address, stopped by its process id.

=========== =========================================================================================
ministack   S3, Glue, SQS and STS, from PyPI; Glue refuses a commit that another was faster than
versitygw   S3 alone, built by Go from its module; it checks signatures, and its objects are files
=========== =========================================================================================
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import EngineError, SetupError
from airflow_lakehouse.spark.engine import sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MINISTACK: Final = "ministack==1.5.33"
VERSITYGW: Final = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
ENDPOINT_VARIABLE: Final = "LAKEHOUSE_TEST_S3"
"""Environment variable with the address of an S3 server that somebody else runs, for the fixture ``s3_server``."""
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
"""What the servers take, as environment variables."""
_START_SECONDS: Final = 60
_READY: Final = ".ready"
"""File in the environment of a server that is installed to its end: where its program is."""
_VERSITYGW_PLACE: Final = f"versitygw-{VERSITYGW.rpartition('@')[2]}"


@contextmanager
def s3_server() -> Iterator[str]:
    """Run ministack: S3, and Glue, SQS and STS at the same address.

    :return: its address.
    :raises SetupError: when it cannot be installed.
    :raises EngineError: when it does not start.
    """
    given = os.environ.get(ENDPOINT_VARIABLE)
    if given:
        yield given
        return
    program, port = _installed(MINISTACK.replace("==", "-"), _install_ministack), sockets.free_port()
    # It would listen on every address of the machine, and asks nobody for a password.
    own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "s3,glue,sqs,sts", "LOG_LEVEL": "ERROR"}
    with _running([str(program)], own, port):
        yield f"http://127.0.0.1:{port}"


def has_go() -> bool:
    """Tell whether versitygw can be built, or has been."""
    return shutil.which("go") is not None or (_place(_VERSITYGW_PLACE) / _READY).exists()


@contextmanager
def strict_s3_server() -> Iterator[str]:
    """Run versitygw. The first time, Go builds it, which takes minutes.

    :return: its address.
    :raises SetupError: when it cannot be built.
    :raises EngineError: when it does not start.
    """
    program, port = _installed(_VERSITYGW_PLACE, _build_versitygw), sockets.free_port()
    with tempfile.TemporaryDirectory(prefix="lakehouse-versitygw-") as folder:
        objects, metadata = Path(folder) / "objects", Path(folder) / "metadata"
        objects.mkdir()
        metadata.mkdir()
        keys = {"ROOT_ACCESS_KEY": CREDENTIALS["AWS_ACCESS_KEY_ID"]}
        keys["ROOT_SECRET_KEY"] = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
        command = [
            str(program),
            "--port",
            f"127.0.0.1:{port}",
            "--region",
            CREDENTIALS["AWS_DEFAULT_REGION"],
            "--quiet",
        ]
        # Beside the objects: not every file system keeps attributes of files.
        command += ["posix", "--sidecar", str(metadata), str(objects)]
        with _running(command, keys, port):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(command: Sequence[str], own: Mapping[str, str], port: int) -> Iterator[None]:
    server = subprocess.Popen(
        command,
        env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(server, port)
        yield
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _place(name: str) -> Path:
    return Path(sys.prefix) / "share" / "airflow-lakehouse" / name


def _installed(name: str, install: Callable[[Path], Path]) -> Path:
    """Return the program of a server; install it where it was not, or not to the end."""
    from airflow_lakehouse.dbt.environment import locked

    target = _place(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    ready = target / _READY
    with locked(target.with_name(f"{target.name}.lock")):
        if not ready.exists() or not ready.read_text():
            program = install(target)
            ready.write_text(str(program.relative_to(target)))
    return target / ready.read_text()


def _install_ministack(target: Path) -> Path:
    from airflow_lakehouse.dbt.environment import clean_environ, install_commands

    for command in install_commands(target, MINISTACK):
        if subprocess.run(command, env=clean_environ(), capture_output=True, check=False).returncode:
            raise SetupError(
                f"{MINISTACK} cannot be installed in {target}",
                remedy=f"give pip an index it reaches, or set {ENDPOINT_VARIABLE} to a server that runs",
            )
    return target / "bin" / "ministack"


def _build_versitygw(target: Path) -> Path:
    # A module cache of its own, which is thrown away: half a gigabyte that nothing else needs.
    with tempfile.TemporaryDirectory(prefix="lakehouse-go-") as scratch:
        own = {"GOBIN": str(target / "bin"), "GOMODCACHE": f"{scratch}/modules", "GOCACHE": f"{scratch}/objects"}
        own |= {"GOFLAGS": "-modcacherw -buildvcs=false", "CGO_ENABLED": "0"}
        built = subprocess.run(
            ["go", "install", VERSITYGW], env={**os.environ, **own}, capture_output=True, check=False
        )
    if built.returncode:
        raise SetupError(f"{VERSITYGW} cannot be built", remedy="give Go a module proxy it reaches")
    return target / "bin" / "versitygw"


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if sockets.listens(port):
            return
        time.sleep(0.05)
    name = Path(str(server.args[0] if isinstance(server.args, list) else server.args)).name
    raise EngineError(f"{name} does not listen on port {port}", remedy=f"or set {ENDPOINT_VARIABLE}")
