"""The process that owns the local Spark Connect server: starts the JVM, watches it, stops it when idle.

Run as ``python -m airflow_lakehouse.spark.engine.connect_supervisor STATE_DIRECTORY``.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from airflow_lakehouse.exceptions import LakehouseError
from airflow_lakehouse.spark.engine import connect_server, jars, sockets
from airflow_lakehouse.spark.engine.java import find_java
from airflow_lakehouse.spark.engine.session import EXTENSIONS, sql_conf
from airflow_lakehouse.spark.storage import aws_retries

IDLE_VARIABLE: Final = "LAKEHOUSE_ENGINE_IDLE_SECONDS"
"""Environment variable: seconds without a lease after which the server stops."""
MEMORY_VARIABLE: Final = "LAKEHOUSE_ENGINE_MEMORY"
"""Environment variable: heap of the server, such as ``4g``."""
_IDLE_SECONDS: Final = 600
_DEFAULT_MEMORY_MIB: Final = 3072
_POLL_SECONDS: Final = 0.2
_TOKEN_VARIABLE: Final = "SPARK_CONNECT_AUTHENTICATE_TOKEN"  # noqa: S105 - the name of a variable, not a secret


def server_command(port: int) -> list[str]:
    """Return the command that starts the server.

    :param port: free port on the loopback address.
    """
    home = jars.spark_home()
    paths = [str(path) for path in jars.engine_jars()]
    memory = os.environ.get(MEMORY_VARIABLE) or f"{_default_memory_mib()}m"
    conf = {
        **sql_conf(),
        "spark.sql.extensions": EXTENSIONS,
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.driver.memory": memory,
        # AQE merges what is too small; Spark's default of 200 costs a second a shuffle on two cores.
        "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 2)),
        # A run has more generated classes than Spark's default of 100: the next would compile all of them again.
        "spark.sql.codegen.cache.maxEntries": "1000",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "5000",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.log.level": "WARN",
    }
    options = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    return [
        find_java(),
        *("-cp", f"{home / 'jars'}/*:{':'.join(paths)}"),
        f"-Xmx{memory}",
        "-XX:+UseSerialGC" if (os.cpu_count() or 2) < 2 else "-XX:+UseParallelGC",  # noqa: PLR2004 - one core
        # Spark writes a transform of fifty columns as one method, which Java would leave interpreted for its size.
        "-XX:-DontCompileHugeMethods",
        "-Djdk.reflect.useDirectMethodHandle=false",
        "-Dio.netty.tryReflectionSetAccessible=true",
        *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED),
        "org.apache.spark.deploy.SparkSubmit",
        *("--master", f"local[{os.cpu_count() or 2}]"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
        *("--name", "airflow-lakehouse"),
        *options,
        "spark-internal",
    ]


# The packages Spark's own launcher opens on Java 17 (org.apache.spark.launcher.JavaModuleOptions).
_OPENED: Final = (
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "sun.nio.ch",
    "sun.nio.cs",
    "sun.security.action",
    "sun.util.calendar",
)


def run(directory: Path) -> int:
    """Start the server, publish it, and stay until it is stopped, idle or dead.

    :param directory: the state directory.
    :return: exit code.
    """
    token = secrets.token_hex(16)
    port = sockets.free_port()
    environment = {**os.environ, **aws_retries.environ(), _TOKEN_VARIABLE: token, "PYSPARK_PYTHON": sys.executable}
    environment["SPARK_HOME"] = str(jars.spark_home())
    server = subprocess.Popen(server_command(port), env=environment, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        if _wait_until_it_listens(server, port):
            # By name: to the client only "localhost" may carry a token without TLS.
            remote = f"sc://localhost:{port}/;token={token}"
            connect_server.write_state(directory, remote=remote, port=port, pid=os.getpid())
            _stay(server, directory)
    finally:
        _stop(server)
        (directory / "engine.json").unlink(missing_ok=True)
    return server.returncode if server.returncode and server.returncode > 0 else 0


def _stay(server: subprocess.Popen[bytes], directory: Path) -> None:
    idle_after = float(os.environ.get(IDLE_VARIABLE) or _IDLE_SECONDS)
    last_used = time.monotonic()
    while server.poll() is None:
        if connect_server.held_leases(directory):
            last_used = time.monotonic()
        elif time.monotonic() - last_used > idle_after:
            return
        time.sleep(_POLL_SECONDS)


def _wait_until_it_listens(server: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + connect_server.START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        if sockets.listens(port):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _default_memory_mib() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return min(_DEFAULT_MEMORY_MIB, total // 2)


if __name__ == "__main__":
    try:
        sys.exit(run(Path(sys.argv[1])))
    except LakehouseError as error:
        sys.exit(f"{type(error).__name__}: {error}")
