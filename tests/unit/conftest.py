from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import boto3
import pytest

from airflow_lakehouse.ocr.textract.inspect import Inspector
from tests.unit.ocr.textract.lake import Lake, SecretPages, SharedInspector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_lakehouse.testing.fake_textract import FakeTextract


@pytest.fixture(scope="session")
def inspector() -> Iterator[Inspector]:
    """What looks at documents, its processes started once."""
    shared = SharedInspector()
    yield shared
    Inspector.close(shared)


@pytest.fixture
def lake(fake_textract: FakeTextract, inspector: Inspector) -> Iterator[Lake]:
    """A bucket of its own, beside a fake Textract."""
    fake_textract.service.answers = SecretPages()
    s3 = boto3.client("s3")
    bucket = f"lake-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    yield Lake(bucket, s3, fake_textract, inspector, {"s3": s3})
    s3.close()
