"""A lakehouse as it is on AWS, on this machine: tables in S3, a Glue catalog, and a Spark engine that reaches both.

Between the engine and the servers are the proxies of :mod:`airflow_lakehouse.testing.s3_faults`, one for each service::

    with s3_server() as server, aws_shape(server, tmp_path) as shape:
        profile = shape.lakehouse()
        shape.glue.lose_responses(times=1, keys="UpdateTable")
        run_job("raw_to_bronze", JobArguments(profile))
"""

from __future__ import annotations

import os
import urllib.request
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from unittest import mock

from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.engine import connect_server, jars
from airflow_lakehouse.spark.engine.connect_supervisor import MEMORY_VARIABLE
from airflow_lakehouse.testing.s3_faults import S3Faults, s3_fault_proxy
from airflow_lakehouse.testing.s3_server import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REGION: Final = CREDENTIALS["AWS_DEFAULT_REGION"]
_HURRIED: Final = {"s3.retry.min-wait-ms": "20", "s3.retry.max-wait-ms": "500"}
"""Iceberg waits two seconds and more before it asks a store again that has refused."""


@dataclass(frozen=True)
class AwsShape:
    """The servers, and who leads to them.

    :param server: address of S3 and Glue themselves.
    :param s3: the proxy before S3.
    :param glue: the proxy before Glue.
    :param environ: variables that lead this process, and those it starts, to the proxies and to the engine.
    """

    server: str
    s3: S3Faults
    glue: S3Faults
    environ: dict[str, str]

    def lakehouse(self, s3_server: str = "") -> Profile:
        """Return the profile of an empty lakehouse with a bucket of its own, in a Glue without any other.

        The variables of :attr:`environ` must be set.

        :param s3_server: address of another server for S3; from now on, all of S3 is there.
        """
        import boto3

        for proxy in (self.s3, self.glue):
            proxy.stop()
            proxy.counts.clear()
        self.s3.upstream = s3_server or self.server
        # Databases are named alike in every lakehouse, so one catalog holds one.
        urllib.request.urlopen(  # noqa: S310 - the address of the server the test has started
            urllib.request.Request(f"{self.server}/_ministack/reset", method="POST")  # noqa: S310 - as above
        ).close()
        bucket = f"lakehouse-{uuid.uuid4().hex[:12]}"
        boto3.client("s3").create_bucket(Bucket=bucket)
        return self.in_bucket(bucket)

    def in_bucket(self, bucket: str) -> Profile:
        """Return the profile of the lakehouse in a bucket, as it is reached from here.

        :param bucket: one that :meth:`lakehouse` has made, before these servers or others.
        """
        addresses = {"s3.endpoint": self.s3.endpoint, "glue.endpoint": self.glue.endpoint}
        return Profile(
            f"s3://{bucket}/warehouse",
            raw=f"s3://{bucket}/drop",
            catalog="glue",
            region=_REGION,
            catalog_properties={**addresses, **_HURRIED},
        )


@contextmanager
def aws_shape(server: str, state: Path, memory: str = "1g") -> Iterator[AwsShape]:
    """Run the proxies and an engine of their own, which has Amazon's client and takes these servers for Amazon.

    :param server: address of ministack.
    :param state: folder for the engine's state; not there yet.
    :param memory: heap of the engine.
    :raises SetupError: when Amazon's client cannot be fetched.
    """
    jars.fetch_jars(aws=True)
    with s3_fault_proxy(server) as s3, s3_fault_proxy(server) as glue:
        environ = {
            **CREDENTIALS,
            "AWS_REGION": _REGION,
            "AWS_ENDPOINT_URL": s3.endpoint,
            "AWS_ENDPOINT_URL_GLUE": glue.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            connect_server.STATE_VARIABLE: str(state),
            MEMORY_VARIABLE: memory,
        }
        leads = mock.patch.dict(os.environ, environ)
        with ExitStack() as held:
            with leads:
                held.enter_context(connect_server.hold_server())
            yield AwsShape(server, s3, glue, environ)
        with leads:
            connect_server.stop_server()
