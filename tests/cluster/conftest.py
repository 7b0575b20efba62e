"""A real Spark standalone cluster on this machine: a master, two workers and a Spark Connect server, on loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from airflow_lakehouse.spark.engine import jars, sockets
from airflow_lakehouse.spark.engine.java import find_java
from airflow_lakehouse.spark.engine.session import EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ADDRESS = "127.0.0.1"
TOKEN = "cluster-t0ken"
_DEPLOY = "org.apache.spark.deploy"


@dataclass
class Cluster:
    """The processes, each known by the one that was started here.

    :param folder: logs and work directories.
    """

    folder: Path
    port: int = field(default_factory=sockets.free_port)
    ui_port: int = field(default_factory=sockets.free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def master(self) -> str:
        """Address of the master."""
        return f"spark://{ADDRESS}:{self.port}"

    def start(self, name: str, *command: str, **environment: str) -> None:
        """Start a process; its log is ``<name>.log``."""
        environ = {
            **os.environ,
            "SPARK_HOME": str(jars.spark_home()),
            "SPARK_LOCAL_IP": ADDRESS,
            "SPARK_DAEMON_MEMORY": "256m",
            "PYSPARK_PYTHON": sys.executable,
            "JAVA_HOME": str(Path(find_java()).resolve().parents[1]),
            **environment,
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command, env=environ, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder
            )

    def start_worker(self, name: str) -> None:
        """Start a worker of one core."""
        arguments = ("--host", ADDRESS, "--cores", "1", "--memory", "700m", "--webui-port", "0")
        work = ("--work-dir", str(self.folder / name))
        self.start(name, _binary("spark-class"), f"{_DEPLOY}.worker.Worker", *arguments, *work, self.master)

    def status(self) -> dict[str, Any]:
        """Return what the master says of itself: https://spark.apache.org/docs/4.1.0/monitoring.html ."""
        try:
            with urllib.request.urlopen(f"http://{ADDRESS}:{self.ui_port}/json/", timeout=5) as answer:
                return dict(json.load(answer))
        except OSError:
            return {}

    def workers(self) -> int:
        """Return how many workers are alive."""
        return sum(worker["state"] == "ALIVE" for worker in self.status().get("workers", ()))

    def executors(self, worker: str) -> list[Path]:
        """Return the directories of the executors a worker has started."""
        return list((self.folder / worker).glob("app-*/*"))

    def kill_worker(self, name: str) -> None:
        """Kill a worker and its executors with SIGKILL, as a machine that goes down."""
        worker = self.processes.pop(name)
        children = psutil.Process(worker.pid).children(recursive=True)
        worker.kill()
        worker.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def stop(self) -> None:
        """Stop what was started here, and nothing else."""
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self, name: str) -> str:
        """Return the end of a process's log."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]


def wait_for(condition: Callable[[], Any], seconds: float = 90.0, why: Callable[[], str] = str) -> None:
    """Wait for something; say why it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited too long: {why()}"
        time.sleep(0.1)


@contextmanager
def cluster_in(folder: Path) -> Iterator[Cluster]:
    """Start a cluster of one master and two workers."""
    cluster = Cluster(folder)
    try:
        web = ("--webui-port", str(cluster.ui_port))
        where = ("--host", ADDRESS, "--port", str(cluster.port))
        cluster.start("master", _binary("spark-class"), f"{_DEPLOY}.master.Master", *where, *web)
        wait_for(lambda: sockets.listens(cluster.port), why=lambda: cluster.log("master"))
        for name in ("worker1", "worker2"):
            cluster.start_worker(name)
        wait_for(lambda: cluster.workers() == 2, why=lambda: cluster.log("worker1"))
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def connect_server(cluster: Cluster) -> Iterator[str]:
    """Start a Spark Connect server whose executors are the cluster's, behind a token; return its address without it."""
    port = sockets.free_port()
    conf = {
        **CONF,
        "spark.sql.extensions": EXTENSIONS,
        "spark.connect.grpc.binding.address": ADDRESS,
        "spark.connect.grpc.binding.port": str(port),
    }
    options = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    cluster.start(
        "connect",
        _binary("spark-submit"),
        *("--master", cluster.master, "--jars", ",".join(map(str, jars.local_jars()))),
        *("--driver-class-path", ":".join(map(str, jars.local_jars()))),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer", *options, "spark-internal"),
        SPARK_CONNECT_AUTHENTICATE_TOKEN=TOKEN,
        # spark-submit takes a server for a daemon, and gives it a daemon's heap.
        SPARK_DAEMON_MEMORY="700m",
    )
    wait_for(lambda: sockets.listens(port), why=lambda: re.sub(TOKEN, "***", cluster.log("connect")))
    yield f"sc://localhost:{port}"


CONF = {
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.pyspark.python": sys.executable,
    "spark.driver.memory": "700m",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.bindAddress": ADDRESS,
    "spark.driver.host": ADDRESS,
    "spark.ui.enabled": "false",
    "spark.log.level": "WARN",
}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return the cluster of the session."""
    with cluster_in(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def _binary(name: str) -> str:
    return str(jars.spark_home() / "bin" / name)
