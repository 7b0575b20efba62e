"""What is written to a Glue catalog without Spark, when its answers are lost."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import boto3

from airflow_lakehouse.parsing import SourceFile
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze.discovery import Found
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.tables import ops
from airflow_lakehouse.testing.s3_faults import LOST

if TYPE_CHECKING:
    from airflow_lakehouse.testing.s3_faults import S3Faults


def test_a_lost_answer_does_not_cost_the_ledger(s3_faults: S3Faults) -> None:
    """Row 13: each of the ledger's commits is done and its answer lost, so the client asks again and is called outrun.

    PyIceberg alone then deletes the files of what is the table by now, and nothing could read it any more.
    """
    bucket = f"bucket-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    endpoints = {"s3.endpoint": s3_faults.endpoint, "glue.endpoint": s3_faults.endpoint}
    profile = Profile(f"s3://{bucket}/warehouse", catalog="glue", region="us-east-1", catalog_properties={**endpoints})
    catalog, name = load_pyiceberg(profile), ops.INGESTED_FILES.identifier
    catalog.create_namespace_if_not_exists("ops")
    if catalog.table_exists(name):
        catalog.drop_table(name)
    create_table(catalog, ops.INGESTED_FILES)
    for number in range(3):
        ledger, file = Ledger(catalog), SourceFile(f"s3://drop/{number}", "etag", 1)
        s3_faults.lose_responses(times=2, keys="[.]UpdateTable$")
        pending, done, _ = ledger.plan([Found(file, "fhir", "1")], "job")
        assert (len(pending), len(done)) == (1, 0)
        ledger.write([entry.loaded(1, 0) for entry in ledger.claim(pending, f"run-{number}")], f"run-{number}")
        assert s3_faults.counts[LOST] == 2 * (number + 1)
    held = Ledger(load_pyiceberg(profile)).rows()
    assert sorted((row["source_uri"], row["state"]) for row in held) == [(f"s3://drop/{n}", "loaded") for n in range(3)]
