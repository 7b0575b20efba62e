"""What reads and writes S3, before a server that throttles, loses answers, cuts bodies and hides objects.

No Spark here: discovery, the reading of files, and PyIceberg.
"""

from __future__ import annotations

import gzip
import json
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from pyiceberg.catalog import load_catalog

from airflow_lakehouse.exceptions import SourceReadError
from airflow_lakehouse.parsing import Record, SourceFile, load_registry
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze import cutting, discovery
from airflow_lakehouse.testing.s3_faults import EXPIRED, HIDDEN, LOST, REPEATED, THROTTLED, TRUNCATED, S3Faults
from airflow_lakehouse.testing.s3_server import CREDENTIALS
from tests.faults.helpers import VERSITYGW, patient

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.table import Table as IcebergTable

_KEYS = [f"drop/fhir/dt=2026-01-0{day}/{name}.ndjson" for day in (1, 2) for name in "abc"]
_LINES = b"".join(json.dumps(patient(f"p{number}")).encode() + b"\n" for number in range(200))


@pytest.fixture(params=[pytest.param("", id="ministack"), VERSITYGW])
def s3_faults(request: pytest.FixtureRequest, s3_faults: S3Faults) -> S3Faults:
    """Return the proxy before either server."""
    if request.param:
        s3_faults.upstream = request.getfixturevalue(request.param)
    return s3_faults


@pytest.fixture
def bucket(s3_faults: S3Faults) -> str:
    """Return a bucket of the test's own that holds a drop of six files."""
    name = f"bucket-{uuid.uuid4().hex}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=name)
    for key in _KEYS:
        client.put_object(Bucket=name, Key=key, Body=_LINES)
    return name


def _discovered(bucket: str) -> list[SourceFile]:
    profile = Profile("/nowhere", raw=f"s3://{bucket}/drop")
    return [found.file for found in discovery.discover(profile, load_registry(()))]


def _records(file: SourceFile) -> list[Any]:
    return list(cutting._pieces(load_registry(()).get("fhir"), file))


@pytest.mark.parametrize("probability", [0.1, 0.3])
def test_throttling_is_waited_out(s3_faults: S3Faults, bucket: str, probability: float) -> None:
    """Row 11: one request in ten, or in three, is refused; every file is found and read whole."""
    s3_faults.throttle(probability)
    files = _discovered(bucket)
    assert [file.uri for file in files] == [f"s3://{bucket}/{key}" for key in _KEYS]
    assert all(len(_records(file)) == 200 for file in files * 8)
    assert s3_faults.counts[THROTTLED] > 0


def test_endless_throttling_fails_in_the_end(s3_faults: S3Faults, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 11: a store that refuses everything fails the run, with an error that says so; no drop looks empty."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    s3_faults.throttle()
    with pytest.raises(SourceReadError, match="SlowDown"):
        _discovered(bucket)


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz"])
def test_a_body_that_breaks_off_is_no_short_file(s3_faults: S3Faults, bucket: str, name: str) -> None:
    """Row 15: the connection is cut in the middle of a file: an error, not the half of it, nor a reject; then whole."""
    body = gzip.compress(_LINES) if name.endswith("gz") else _LINES
    etag = boto3.client("s3").put_object(Bucket=bucket, Key=name, Body=body)["ETag"].strip('"')
    file = SourceFile(f"s3://{bucket}/{name}", etag, len(body))
    s3_faults.truncate(times=1, methods=["GET"], keys=name)
    with pytest.raises(SourceReadError):
        _records(file)
    assert s3_faults.counts[TRUNCATED] == 1
    read = _records(file)
    assert len(read) == 200
    assert all(isinstance(record, Record) for record in read)


def test_a_listing_that_lacks_an_object_is_made_up_for(s3_faults: S3Faults, bucket: str) -> None:
    """Row 16: an object that a listing does not show yet is found by the next; nothing looks at "newer than" alone."""
    s3_faults.hide(times=2)
    assert len(_discovered(bucket)) == len(_KEYS) - 2
    assert s3_faults.counts[HIDDEN] == 2
    assert len(_discovered(bucket)) == len(_KEYS)


def test_a_listing_that_tells_an_object_twice(s3_faults: S3Faults, bucket: str) -> None:
    """Row 16: the file is one file."""
    s3_faults.repeat(0.5)
    assert sorted(file.uri for file in _discovered(bucket)) == [f"s3://{bucket}/{key}" for key in _KEYS]
    assert s3_faults.counts[REPEATED] > 0


def test_an_object_overwritten_after_it_was_listed(s3_faults: S3Faults, bucket: str) -> None:
    """Row 17, in S3: the version that was listed is asked for, and another one is refused; the next listing has it."""
    old = _discovered(bucket)[0]
    key = old.uri.removeprefix(f"s3://{bucket}/")
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(patient("new")).encode())
    with pytest.raises(SourceReadError, match="not the file that was listed"):
        _records(old)
    assert len(_records(_discovered(bucket)[0])) == 1


def test_an_object_that_vanishes_after_it_was_listed(s3_faults: S3Faults, bucket: str) -> None:
    """Row 18, in S3: it is one reject."""
    file = _discovered(bucket)[0]
    boto3.client("s3").delete_object(Bucket=bucket, Key=file.uri.removeprefix(f"s3://{bucket}/"))
    (reject,) = _records(file)
    assert reject.reason == cutting.VANISHED


def test_credentials_that_expire_fail_cleanly(s3_faults: S3Faults, bucket: str) -> None:
    """Row 33: the error names what happened; with new credentials all is there."""
    s3_faults.expire_token(times=1)
    with pytest.raises(SourceReadError, match="ExpiredToken"):
        _discovered(bucket)
    files = _discovered(bucket)
    s3_faults.expire_token(methods=["GET"], keys="a.ndjson")
    with pytest.raises(SourceReadError, match="ExpiredToken"):
        _records(files[0])
    assert s3_faults.counts[EXPIRED] == 2


@pytest.fixture
def table(s3_faults: S3Faults, bucket: str, tmp_path: Path) -> IcebergTable:
    """Return an Iceberg table in the bucket, its catalog a SQLite file."""
    # Without a region, Arrow asks Amazon for the bucket's.
    properties = {"s3.endpoint": s3_faults.endpoint, "s3.region": CREDENTIALS["AWS_DEFAULT_REGION"]}
    properties["warehouse"] = f"s3://{bucket}/warehouse"
    catalog = load_catalog("c", type="sql", uri=f"sqlite:///{tmp_path}/catalog.db", **properties)
    catalog.create_namespace("n")
    return catalog.create_table("n.t", pa.schema([("id", pa.int64())]))


def _append(table: IcebergTable, number: int) -> None:
    table.append(pa.table({"id": pa.array([number], pa.int64())}))


@pytest.mark.parametrize("keys", [r"[.]parquet$", r"-m0[.]avro$", r"snap-.*[.]avro$", r"metadata[.]json$"])
def test_a_lost_answer_loses_and_doubles_nothing(s3_faults: S3Faults, table: IcebergTable, keys: str) -> None:
    """Row 12: data, manifest or metadata is written and the answer lost: what was reported is there, once, to read."""
    reported = 0
    for number in range(4):
        s3_faults.lose_responses(times=1, methods=["PUT", "POST"], keys=keys)
        try:
            _append(table, number)
            reported += 1
        except OSError:
            table.refresh()
    assert s3_faults.counts[LOST] > 0
    s3_faults.stop()
    held = table.refresh().scan().to_arrow()["id"].to_pylist()
    assert len(held) == len(set(held)) == reported


def test_reads_of_a_throttled_table(s3_faults: S3Faults, table: IcebergTable) -> None:
    """Rows 11 and 15: scans through throttling and a cut body give all rows or an error, never some of them."""
    for number in range(4):
        _append(table, number)
    s3_faults.throttle(0.1)
    s3_faults.truncate(0.1, methods=["GET"], keys=r"[.]parquet$")
    full = 0
    for _ in range(6):
        try:
            rows = table.refresh().scan().to_arrow().num_rows
        except OSError:
            continue
        assert rows == 4
        full += 1
    assert full > 0
    assert s3_faults.counts[THROTTLED] > 0


def test_signatures_hold_through_the_proxy(s3_faults: S3Faults, bucket: str) -> None:
    """What is passed on is passed on byte for byte: put, ranges, conditions, listings, and errors of the server."""
    client = boto3.client("s3")
    etag = client.put_object(Bucket=bucket, Key="a b/\u00e9%.bin", Body=bytes(range(256)) * 100)["ETag"]
    got = client.get_object(Bucket=bucket, Key="a b/\u00e9%.bin", Range="bytes=10-19", IfMatch=etag)
    assert got["Body"].read() == bytes(range(10, 20))
    assert client.head_object(Bucket=bucket, Key="a b/\u00e9%.bin")["ContentLength"] == 25_600
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=bucket, Key="none")
    assert s3_faults.requests["PUT"] >= len(_KEYS) + 2
    assert not s3_faults.counts


def test_the_same_seed_gives_the_same_faults() -> None:
    """A failure can be repeated."""

    def told(seed: int) -> list[bool]:
        faults = S3Faults("", "", seed)
        faults.throttle(0.5, times=20, keys="a$")
        return [faults.befalls(THROTTLED, "GET", f"/b/{name}") for name in "ab" * 20]

    assert told(1) == told(1) != told(2)
    assert not any(told(1)[1::2])
