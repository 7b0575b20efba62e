"""Fixtures of the fault tests; not all of them need the engine, so none is started unasked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import botocore.endpoint
import pytest

from airflow_lakehouse.testing import s3_server as servers
from airflow_lakehouse.testing.aws_shape import AwsShape, aws_shape
from tests.faults.helpers import lines
from tests.spark.conftest import warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.testing.s3_faults import S3Faults

__all__ = ["warehouse"]


@dataclass(frozen=True)
class AwsLakehouse:
    """An empty lakehouse in S3 and Glue.

    :param profile: its profile.
    :param s3: the proxy before S3.
    :param glue: the proxy before Glue.
    """

    profile: Profile
    s3: S3Faults
    glue: S3Faults

    @property
    def bucket(self) -> str:
        """The bucket of its drop and its warehouse."""
        return self.profile.warehouse_uri.removeprefix("s3://").partition("/")[0]

    def drop(self, name: str, *resources: dict[str, Any] | bytes) -> None:
        """Put an NDJSON file into the drop, in place of another."""
        boto3.client("s3").put_object(Bucket=self.bucket, Key=f"drop/{name}", Body=lines(*resources))

    def keys(self, prefix: str) -> list[str]:
        """Return the names of the objects that begin with a prefix."""
        pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]


@pytest.fixture(scope="session")
def aws_session(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsShape]:
    """Return S3, Glue and an engine for them, for the whole session."""
    with aws_shape(s3_server, tmp_path_factory.mktemp("aws") / "engine") as shape:
        yield shape


@pytest.fixture(scope="session")
def strict_s3_server() -> Iterator[str]:
    """Return the address of a second S3 server, built by Go."""
    with servers.strict_s3_server() as address:
        yield address


@pytest.fixture
def aws(request: pytest.FixtureRequest, aws_session: AwsShape, monkeypatch: pytest.MonkeyPatch) -> AwsLakehouse:
    """Return an empty lakehouse on Glue; its S3 is ministack's, or that of the fixture the parameter names."""
    for name, value in aws_session.environ.items():
        monkeypatch.setenv(name, value)
    # Asked again at once: boto3 waits up to twenty seconds for an Amazon that refuses.
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 100)))
    other = request.getfixturevalue(request.param) if getattr(request, "param", "") else ""
    return AwsLakehouse(aws_session.lakehouse(other), aws_session.s3, aws_session.glue)
