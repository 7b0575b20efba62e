"""The demo as on AWS, on this machine: S3 and Glue from ministack, Amazon Textract and EMR Serverless from the fakes.

The DAG is the same one. What differs is the ``lakehouse`` connection, and the addresses of the services. The fake of
EMR Serverless really runs the bundle that was shipped to it, with ``spark-submit``; dbt has the engine of this machine.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest import mock

from airflow_lakehouse.spark.engine.job_session import STAGING_VARIABLE
from airflow_lakehouse.spark.storage.files import file_uri
from airflow_lakehouse.testing.aws_shape import aws_shape
from airflow_lakehouse.testing.fake_emr_serverless import fake_emr_serverless
from airflow_lakehouse.testing.fake_textract import FakeTextract, fake_textract_server
from airflow_lakehouse.testing.fake_textract_answers import read_here
from airflow_lakehouse.testing.s3_server import s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_lakehouse.cli.airflow_home import AirflowHome

_ROLE: Final = "arn:aws:iam::000000000000:role/lakehouse-spark"
_STAGING: Final = f"spark.emr-serverless.driverEnv.{STAGING_VARIABLE}"
_WINDOW: Final = 5
_JOB_SECONDS: Final = 1.0
_OPTIONS: Final = {"features": ["TABLES"], "max_pages": 500, "poll_seconds": 0.5}


@contextmanager
def aws_home(home: AirflowHome) -> Iterator[AirflowHome]:
    """Run the services, and give the home a connection that leads to them. Nothing of them is left afterwards.

    :param home: of the demo.
    """
    with ExitStack() as held:
        folder = held.enter_context(tempfile.TemporaryDirectory(prefix="lakehouse-aws-"))
        shape = held.enter_context(aws_shape(held.enter_context(s3_server()), Path(folder) / "engine"))
        fake = FakeTextract(read_here("local"), window=_WINDOW, delay=_JOB_SECONDS, start_tps=5, get_tps=10)
        held.enter_context(mock.patch.dict(os.environ, shape.environ))
        held.enter_context(fake_textract_server(fake))
        held.enter_context(mock.patch.dict(os.environ, fake.environ))
        emr = held.enter_context(fake_emr_serverless(shape.server, Path(folder) / "emr"))
        held.enter_context(mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL_EMR_SERVERLESS": emr.endpoint}))
        plain = shape.lakehouse()
        bucket = plain.warehouse.removesuffix("/warehouse")
        lakehouse = replace(
            plain,
            textract=f"{bucket}/ocr",
            ocr="textract",
            textract_options=_OPTIONS,
            runner="emr_serverless",
            runner_options={
                "application_id": emr.application_id,
                "execution_role_arn": _ROLE,
                # The service's Spark writes to S3 as to a disk; that of this machine has no file system for it.
                "spark_conf": {_STAGING: file_uri(Path(folder) / "staging")},
            },
            scripts=f"{bucket}/scripts",
        )
        yield replace(home, lakehouse=lakehouse)


def upload(home: AirflowHome) -> None:
    """Put the drop of a home into its bucket.

    :param home: with its drop on this machine.
    """
    import boto3

    client = boto3.client("s3")
    assert home.profile.raw is not None
    bucket, _, prefix = home.profile.raw.removeprefix("s3://").partition("/")
    folder = home.raw or home.root / "raw"
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(folder).as_posix()}")
    client.close()
