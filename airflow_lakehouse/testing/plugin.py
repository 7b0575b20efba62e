"""Pytest fixtures: a lakehouse in a temporary folder, Spark sessions on it, and an S3 that misbehaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from airflow_lakehouse.spark.connect_server import Server
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
    from airflow_lakehouse.spark import connect_server

    was_running = connect_server.running_server() is not None
    with connect_server.hold_server() as server:
        yield server
    if not was_running:
        connect_server.stop_unused_server()


@pytest.fixture
def lakehouse_spark(lakehouse_profile: Profile, lakehouse_engine: Server) -> Iterator[SparkSession]:
    """Return a Spark session on the lakehouse of :func:`lakehouse_profile`."""
    from airflow_lakehouse.spark.catalog import create_local_catalog
    from airflow_lakehouse.spark.session import open_session

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
