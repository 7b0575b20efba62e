"""Real tables in real catalogs, each behind the kind of connection that leads to it; S3 and SQS of ministack."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from airflow_lakehouse.testing.s3_server import CREDENTIALS
from tests.airflow.rest_catalog import rest_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

CONN_ID = "tables"


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **fields: Any) -> None:
    """Set an Airflow connection for the test."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))


def aws_connection(monkeypatch: pytest.MonkeyPatch, conn_id: str, endpoint: str, **extra: Any) -> None:
    """Set an AWS connection to ministack."""
    keys = {"login": CREDENTIALS["AWS_ACCESS_KEY_ID"], "password": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}
    where = {"endpoint_url": endpoint, "region_name": CREDENTIALS["AWS_DEFAULT_REGION"]}
    connect(monkeypatch, conn_id, conn_type="aws", **keys, extra={**where, **extra})


@dataclass(frozen=True)
class Place:
    """A catalog that can be written, and the connection by which a sensor reads it.

    :param catalog: for the test.
    :param namespace: one of its own, where the catalog is shared.
    """

    catalog: Catalog
    namespace: str

    def name(self, table: str) -> str:
        """Return namespace and name."""
        return f"{self.namespace}.{table}"

    def table(self, name: str = "events") -> Table:
        """Make an empty table of ids and days, with a partition for each day."""
        from pyiceberg.partitioning import PartitionField, PartitionSpec
        from pyiceberg.schema import Schema
        from pyiceberg.transforms import IdentityTransform
        from pyiceberg.types import LongType, NestedField, StringType

        schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "day", StringType()))
        spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "day"))
        return self.catalog.create_table(self.name(name), schema, partition_spec=spec)


def rows(*ids: int, day: str = "2026-01-15") -> pa.Table:
    """Return rows of the table of a :class:`Place`."""
    return pa.table({"id": pa.array(ids, pa.int64()), "day": pa.array([day] * len(ids), pa.string())})


def sql_catalog(folder: Path) -> Catalog:
    """Make a SQL catalog; skip the test where the environment's SQLAlchemy is too old for PyIceberg's."""
    try:
        from pyiceberg.catalog.sql import SqlCatalog
    except ImportError:
        pytest.skip("PyIceberg's SQL catalog needs SQLAlchemy 2, Airflow before 3.1 has 1.4")
    folder.mkdir(exist_ok=True)
    return SqlCatalog("lakehouse", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")


@pytest.fixture
def aws_endpoint(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of ministack, to which boto3 and the connection ``aws_default`` lead."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": s3_server, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    aws_connection(monkeypatch, "aws_default", s3_server)
    return s3_server


@pytest.fixture
def bucket(aws_endpoint: str) -> str:
    """Return an empty bucket that keeps versions."""
    import boto3

    name = f"drop-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name)
    boto3.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def glue_place(aws_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return Glue, behind an AWS connection."""
    from pyiceberg.catalog import load_catalog

    own = {"glue.endpoint": aws_endpoint, "s3.endpoint": aws_endpoint, "warehouse": f"s3://{bucket}/warehouse"}
    keys = {"client.access-key-id": "test", "client.secret-access-key": "test", "client.region": "us-east-1"}
    catalog = load_catalog("lakehouse", type="glue", **own, **keys)
    namespace = f"ns_{uuid.uuid4().hex[:8]}"
    catalog.create_namespace(namespace)
    aws_connection(monkeypatch, CONN_ID, aws_endpoint)
    return Place(catalog, namespace)


@pytest.fixture
def sql_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a SQLite database, behind a connection to it."""
    catalog = sql_catalog(tmp_path / "sql")
    catalog.create_namespace("ops")
    connect(monkeypatch, CONN_ID, conn_type="sqlite", host=f"{tmp_path}/sql/catalog.db")
    return Place(catalog, "ops")


@pytest.fixture
def lakehouse_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a local lakehouse, behind its connection."""
    catalog = sql_catalog(tmp_path / "lake")
    catalog.create_namespace("ops")
    connect(monkeypatch, CONN_ID, conn_type="lakehouse", extra={"warehouse": f"{tmp_path}/lake"})
    return Place(catalog, "ops")


@pytest.fixture
def rest_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Return a REST catalog, behind a connection with a token."""
    catalog = sql_catalog(tmp_path / "rest")
    catalog.create_namespace("ops")
    with rest_catalog(catalog) as server:
        connect(monkeypatch, CONN_ID, conn_type="iceberg", host=server.address, password=server.token)
        yield Place(catalog, "ops")


@pytest.fixture(params=["sql", "lakehouse", "rest", "glue"])
def place(request: pytest.FixtureRequest) -> Place:
    """Return each kind of catalog in turn."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture
def any_place(request: pytest.FixtureRequest) -> Place:
    """Return one catalog: SQL where PyIceberg has it, else Glue."""
    try:
        import pyiceberg.catalog.sql as _  # noqa: F401 - whether it can be imported is the question
    except ImportError:
        found: Place = request.getfixturevalue("glue_place")
    else:
        found = request.getfixturevalue("sql_place")
    return found
