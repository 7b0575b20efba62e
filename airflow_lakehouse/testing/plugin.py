"""Pytest fixtures: a lakehouse in a temporary folder, Spark sessions on it, and an S3 that misbehaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from airflow_lakehouse.spark.engine.connect_server import Server
    from airflow_lakehouse.testing.fake_emr_serverless import FakeEmrServerless
    from airflow_lakehouse.testing.fake_glue_jobs import FakeGlueJobs
    from airflow_lakehouse.testing.fake_textract import FakeTextract
    from airflow_lakehouse.testing.s3_faults import S3Faults


@pytest.fixture
def lakehouse_profile(tmp_path: Path) -> Profile:
    """Return a profile with an empty drop and a warehouse that does not exist yet."""
    raw = tmp_path / "raw"
    raw.mkdir()
    return Profile(str(tmp_path / "warehouse"), raw=str(raw))


@pytest.fixture(scope="session")
def lakehouse_engine() -> Iterator[Server]:
    """Hold this machine's Spark engine for the session, and stop it if nobody had started it before."""
    from airflow_lakehouse.spark.engine import connect_server

    was_running = connect_server.running_server() is not None
    with connect_server.hold_server() as server:
        yield server
    if not was_running:
        connect_server.stop_unused_server()


@pytest.fixture
def lakehouse_spark(lakehouse_profile: Profile, lakehouse_engine: Server) -> Iterator[SparkSession]:
    """Return a Spark session on the lakehouse of :func:`lakehouse_profile`."""
    from airflow_lakehouse.spark.engine.session import open_session
    from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

    create_local_catalog(lakehouse_profile)
    with open_session(lakehouse_profile, lakehouse_engine.remote) as spark:
        yield spark


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Return the address of a real S3 server that runs for the session; ``LAKEHOUSE_TEST_S3`` names another."""
    from airflow_lakehouse.testing import s3_server as server

    with server.s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3_faults(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Faults]:
    """Return a proxy before :func:`s3_server` that makes no faults until it is told to.

    For the test, ``AWS_ENDPOINT_URL`` and credentials lead boto3, Arrow and PyIceberg to it.
    """
    from airflow_lakehouse.testing.s3_faults import s3_fault_proxy
    from airflow_lakehouse.testing.s3_server import CREDENTIALS

    with s3_fault_proxy(s3_server) as faults:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": faults.endpoint}.items():
            monkeypatch.setenv(name, value)
        yield faults


@pytest.fixture
def fake_emr_serverless(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEmrServerless]:
    """Return an EMR Serverless that runs its jobs here; for the test, boto3 is led to it and to :func:`s3_server`."""
    from airflow_lakehouse.testing.fake_emr_serverless import fake_emr_serverless as fake

    with fake(s3_server, tmp_path / "emr") as service:
        _lead(monkeypatch, {"S3": s3_server, "EMR_SERVERLESS": service.endpoint})
        yield service


@pytest.fixture
def fake_glue_jobs(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGlueJobs]:
    """Return a Glue that runs its jobs here; for the test, boto3 is led to it and to :func:`s3_server`."""
    from airflow_lakehouse.testing.fake_glue_jobs import fake_glue_jobs as fake

    with fake(s3_server, tmp_path / "glue") as service:
        _lead(monkeypatch, {"S3": s3_server, "GLUE": service.endpoint, "CLOUDWATCH_LOGS": service.endpoint})
        yield service


@pytest.fixture
def fake_textract(s3_faults: S3Faults, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTextract]:  # noqa: ARG001
    """Return a fake Amazon Textract that reads objects of :func:`s3_faults`, and leads boto3 to it for the test."""
    from airflow_lakehouse.testing.fake_textract import FakeTextract, fake_textract_server

    with fake_textract_server(FakeTextract()) as fake:
        for name, value in fake.environ.items():
            monkeypatch.setenv(name, value)
        yield fake


def _lead(monkeypatch: pytest.MonkeyPatch, endpoints: dict[str, str]) -> None:
    """Lead boto3, and Airflow's default connection, to servers of the test."""
    from airflow_lakehouse.hooks.spark.aws import forget_clients
    from airflow_lakehouse.testing.s3_server import CREDENTIALS

    named = {f"AWS_ENDPOINT_URL_{service}": endpoint for service, endpoint in endpoints.items()}
    for name, value in {**CREDENTIALS, **named, "AIRFLOW_CONN_AWS_DEFAULT": "aws://"}.items():
        monkeypatch.setenv(name, value)
    forget_clients()
