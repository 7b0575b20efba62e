"""How often a store that refuses is asked, counted before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.storage import aws_retries
from airflow_lakehouse.spark.storage.catalog import storage_properties
from airflow_lakehouse.spark.storage.files import filesystem
from airflow_lakehouse.testing.s3_faults import THROTTLED, s3_fault_proxy
from airflow_lakehouse.testing.s3_server import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_lakehouse.testing.s3_faults import S3Faults


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Faults]:
    """Return a store that refuses everything; no request comes to the server behind it."""
    with s3_fault_proxy("http://127.0.0.1:9") as faults:
        for name, value in {**CREDENTIALS, "AWS_EC2_METADATA_DISABLED": "true"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", faults.endpoint)
        faults.throttle()
        yield faults


def test_ten_times_unless_somebody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable of Amazon's own clients holds; the engine's client gets it as well."""
    monkeypatch.delenv(aws_retries.ATTEMPTS_VARIABLE, raising=False)
    assert aws_retries.environ() == {"AWS_MAX_ATTEMPTS": "10"}
    monkeypatch.setenv(aws_retries.ATTEMPTS_VARIABLE, "4")
    assert aws_retries.environ() == {"AWS_MAX_ATTEMPTS": "4"}


def test_what_lies_in_the_warehouse(refusing: S3Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyIceberg's file system asks as often as was said, and not thrice, as Arrow by itself does."""
    monkeypatch.setenv(aws_retries.ATTEMPTS_VARIABLE, "4")
    told = {"s3.endpoint": refusing.endpoint}
    profile = Profile("s3://lake/warehouse", catalog="glue", region="us-east-1", catalog_properties=told)
    store, path = filesystem("s3://lake/warehouse/x", storage_properties(profile))
    with pytest.raises(OSError, match="503"):
        store.open_input_stream(path)
    assert refusing.counts[THROTTLED] == 4


def test_what_lies_in_the_drop(refusing: S3Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does the client that lists a drop and reads its files."""
    monkeypatch.setenv(aws_retries.ATTEMPTS_VARIABLE, "2")
    with pytest.raises(ClientError, match="SlowDown"):
        aws_retries.s3_client().list_objects_v2(Bucket="drop")
    assert refusing.counts[THROTTLED] == 2


def test_what_is_opened_by_its_uri_alone(refusing: S3Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow goes where the environment says, and asks as often: arguments and results of a job are read by it."""
    monkeypatch.setenv(aws_retries.ATTEMPTS_VARIABLE, "2")
    store, path = filesystem("s3://scripts/jobs/arguments.json")
    with pytest.raises(OSError, match="503"):
        store.open_input_stream(path)
    assert refusing.counts[THROTTLED] == 2
