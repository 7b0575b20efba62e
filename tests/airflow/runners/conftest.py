"""The runners, each where its jobs really run. To add one to the suite, add its world to WORLDS."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
import uuid
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_lakehouse.hooks.spark import (
    EmrServerlessRunner,
    GlueRunner,
    LocalRunner,
    SparkConnectRunner,
    SparkSubmitRunner,
)
from airflow_lakehouse.hooks.spark.aws import forget_clients
from airflow_lakehouse.testing.fake_emr_serverless import FakeEmrServerless, fake_emr_serverless
from airflow_lakehouse.testing.fake_glue_jobs import FakeGlueJobs, fake_glue_jobs
from airflow_lakehouse.testing.job_process import plain_python
from airflow_lakehouse.testing.s3_server import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_lakehouse.hooks.spark import JobHandle, JobStatus, SparkRunner

_led: dict[str, str] = {}
"""Where the clients there are lead to."""
TINY_JOB = Path(__file__).with_name("tiny_job.py")
ROLE = "arn:aws:iam::000000000000:role/job"


@dataclass
class World:
    """A runner, and what can be done to its jobs behind its back.

    :param runner: the runner.
    :param arguments: of the tiny job.
    :param vanish: makes the place forget a job.
    :param service: the fake behind it, if there is one.
    """

    runner: SparkRunner
    arguments: dict[str, Any]
    vanish: Callable[[JobHandle], None]
    service: Any = None
    handles: list[JobHandle] = field(default_factory=list)

    def submit(self, job: str = "work", token: str = "") -> JobHandle:
        """Start the tiny job; it waits for :meth:`let`."""
        handle = self.runner.submit(job, self.arguments, token or uuid.uuid4().hex)
        self.handles.append(handle)
        return handle

    def let(self) -> None:
        """Let the jobs go on."""
        Path(self.arguments["until"]).touch()

    def pids(self) -> list[int]:
        """Return the process of each start."""
        path = Path(self.arguments["starts"])
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def ended(self, handle: JobHandle) -> JobStatus:
        """Wait until a job has ended."""
        until(lambda: not self.runner.status(handle).is_active)
        return self.runner.status(handle)


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended and that nobody has collected is no process any more.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def arguments(folder: Path) -> dict[str, Any]:
    """Return arguments of the tiny job."""
    return {"starts": str(folder / "starts"), "until": str(folder / "until")}


@contextmanager
def local(request: pytest.FixtureRequest, folder: Path) -> Iterator[World]:
    """Jobs on this machine."""
    runner = LocalRunner(root=folder / "jobs", command=(sys.executable, str(TINY_JOB)), grace_seconds=0.3)
    yield World(runner, arguments(folder), lambda handle: shutil.rmtree(handle.location))


@contextmanager
def emr_serverless(request: pytest.FixtureRequest, folder: Path) -> Iterator[World]:
    """Jobs on the fake EMR Serverless."""
    service = request.getfixturevalue("emr_service")
    with pytest.MonkeyPatch.context() as patch:
        scripts = lead(patch, {"S3": service.s3_endpoint, "EMR_SERVERLESS": service.endpoint})
        runner = EmrServerlessRunner(
            service.application_id, ROLE, scripts, region="us-east-1", entry_point=f"{scripts}/tiny.py"
        )
        yield World(runner, arguments(folder), lambda handle: service.vanish(handle.job_id), service)
        service.reset()


@contextmanager
def glue(request: pytest.FixtureRequest, folder: Path) -> Iterator[World]:
    """Jobs on the fake Glue."""
    service = request.getfixturevalue("glue_service")
    with pytest.MonkeyPatch.context() as patch:
        endpoints = {"S3": service.s3_endpoint, "GLUE": service.endpoint, "CLOUDWATCH_LOGS": service.endpoint}
        scripts = lead(patch, endpoints)
        runner = GlueRunner(scripts, role_arn=ROLE, region="us-east-1", entry_point=f"{scripts}/tiny.py")
        yield World(runner, arguments(folder), lambda handle: service.vanish(handle.job_id), service)
        service.reset()


SUBMIT = """#!/bin/sh
# Starts the script as spark-submit would, without a cluster: what the runner does with a process is what is tried here.
while [ "${1%.py}" = "$1" ]; do shift; done
exec "$PYSPARK_DRIVER_PYTHON" "$@"
"""


@contextmanager
def spark_submit(request: pytest.FixtureRequest, folder: Path) -> Iterator[World]:
    """Jobs through spark-submit, driver on this machine. With a real cluster: ``tests/cluster``."""
    binary = folder / "spark" / "bin" / "spark-submit"
    binary.parent.mkdir(parents=True)
    binary.write_text(SUBMIT)
    binary.chmod(0o755)
    runner = SparkSubmitRunner(
        "spark://127.0.0.1:7077",
        spark_home=str(folder / "spark"),
        entry_point=str(TINY_JOB),
        root=folder / "jobs",
        grace_seconds=0.3,
    )
    yield World(runner, arguments(folder), lambda handle: shutil.rmtree(handle.location))


@contextmanager
def spark_connect(request: pytest.FixtureRequest, folder: Path) -> Iterator[World]:
    """Jobs with a session on a Spark Connect server, which the tiny job does not open."""
    command = (sys.executable, str(TINY_JOB))
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        connection = {"conn_type": "generic", "host": "127.0.0.1", "port": server.getsockname()[1]}
        patch.setenv("AIRFLOW_CONN_CONNECT", json.dumps({**connection, "password": "s3cret"}))
        runner = SparkConnectRunner(conn_id="connect", command=command, root=folder / "jobs", grace_seconds=0.3)
        yield World(runner, arguments(folder), lambda handle: shutil.rmtree(handle.location))


def lead(patch: pytest.MonkeyPatch, endpoints: dict[str, str]) -> str:
    """Lead boto3 and Airflow to the fakes, and return the root of job scripts, with the tiny job in it."""
    named = {f"AWS_ENDPOINT_URL_{service}": endpoint for service, endpoint in endpoints.items()}
    for name, value in {**CREDENTIALS, **named, "AIRFLOW_CONN_AWS_DEFAULT": "aws://"}.items():
        patch.setenv(name, value)
    # To make clients takes longer than most of these tests, and they keep to the addresses they were made with.
    if _led != endpoints:
        _led.clear()
        _led.update(endpoints)
        forget_clients()
    bucket = f"scripts-{uuid.uuid4().hex[:12]}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="lake/tiny.py", Body=TINY_JOB.read_bytes())
    return f"s3://{bucket}/lake"


@pytest.fixture(scope="session")
def emr_service(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeEmrServerless]:
    """The fake EMR Serverless of all tests here; each leaves it as it was."""
    with fake_emr_serverless(s3_server, tmp_path_factory.mktemp("emr"), plain_python) as service:
        yield service


@pytest.fixture(scope="session")
def glue_service(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGlueJobs]:
    """The fake Glue of all tests here; each leaves it as it was."""
    with fake_glue_jobs(s3_server, tmp_path_factory.mktemp("glue"), plain_python) as service:
        yield service


WORLDS: dict[str, Callable[[pytest.FixtureRequest, Path], AbstractContextManager[World]]] = {
    "local": local,
    "emr_serverless": emr_serverless,
    "glue": glue,
    "spark_submit": spark_submit,
    "spark_connect": spark_connect,
}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Each runner in turn; jobs that still run are stopped at the end."""
    with WORLDS[request.param](request, tmp_path) as world:
        yield world
        world.let()
        for pid in filter(lives, world.pids()):
            os.kill(pid, 9)


@pytest.fixture
def emr(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """EMR Serverless alone."""
    with emr_serverless(request, tmp_path) as world:
        assert isinstance(world.service, FakeEmrServerless)
        yield world
        world.let()


@pytest.fixture
def glued(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Glue alone."""
    with glue(request, tmp_path) as world:
        assert isinstance(world.service, FakeGlueJobs)
        yield world
        world.let()
