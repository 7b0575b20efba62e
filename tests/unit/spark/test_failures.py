"""What a job says when Spark or PyIceberg fails, and what becomes of a value no table can hold."""

from __future__ import annotations

import pytest

from airflow_lakehouse.parsing import Rejected, Row
from airflow_lakehouse.spark.bronze.cutting import PARSER_FAILED, _batches
from airflow_lakehouse.spark.jobs.failures import as_lakehouse_error


class ValidationException(Exception):  # noqa: N818 - the name PyIceberg gives its own
    """Stands for PyIceberg's error of that name."""


def test_a_conflict_is_told_by_its_class() -> None:
    """PyIceberg names the conflict in the class alone; the message says that running again is safe."""
    assert "another run committed" in str(as_lakehouse_error("raw_to_bronze", ValidationException("found files")))


@pytest.mark.parametrize(
    "text",
    [
        "An error occurred (ThrottlingException) when calling the UpdateTable operation: Rate exceeded",
        "AWS Error UNKNOWN (HTTP status 503) during HeadObject operation: No response body.",
        "software.amazon.awssdk.services.s3.model.S3Exception: Please reduce your request rate. (SlowDown)",
    ],
)
def test_a_store_that_refuses_is_named(text: str) -> None:
    """Whichever client was told so: that it is nobody's data, and that running again is what to do."""
    assert "S3 or Glue refused" in str(as_lakehouse_error("raw_to_bronze", RuntimeError(text)))


class Py4JJavaError(Exception):
    """Stands for py4j's error of that name: its text is Java's stack trace."""

    java_exception = object()


def test_a_failure_in_java_is_told_by_what_caused_it() -> None:
    """On a cluster every failure is a Py4JJavaError: the classes behind it are told, and no word of their messages."""
    trace = (
        "An error occurred while calling o59.sql.\n: org.apache.spark.SparkException: Job aborted: 'Jane Doe'\n"
        "\tat org.apache.spark.sql.errors.QueryErrors$.fail(QueryErrors.scala:1)\n"
        "Caused by: org.apache.iceberg.exceptions.RuntimeIOException: Jane\n\t... 3 more\n"
        "Caused by: software.amazon.awssdk.services.s3.model.NoSuchBucketException: Caused by: me.Jane (404)\n"
    )
    said = str(as_lakehouse_error("raw_to_bronze", Py4JJavaError(trace)))
    assert "failed with Py4JJavaError SparkException, caused by NoSuchBucketException." in said
    assert "Jane" not in said


def test_an_unknown_failure_quotes_nothing() -> None:
    """The text of an error may hold a patient's data; only its class is passed on."""
    said = str(as_lakehouse_error("bronze_to_silver", RuntimeError("cannot cast 'Jane Doe'")))
    assert "RuntimeError" in said
    assert "Jane" not in said


def test_a_value_that_cannot_be_stored_costs_its_row_alone() -> None:
    """A NaN rejects the row that holds it; the rows before and after are kept, bytes as base64."""
    rows = [Row("t", 1, {"a": b"\x01"}), Row("t", 2, {"a": float("nan")}), Row("t", 3, {"a": 1})]
    (batch,) = _batches(0, iter([*rows, Rejected(4, "X")]))
    found = [(row["position"], row["payload"], row["reason"]) for row in batch.to_pylist()]
    assert found == [(1, '{"a": "AQ=="}', None), (2, None, PARSER_FAILED), (3, '{"a": 1}', None), (4, None, "X")]


@pytest.mark.parametrize(
    ("variable", "log"),
    [("LAKEHOUSE_ON_CLUSTER", "the driver's log"), ("LAKEHOUSE_SPARK_REMOTE", "Spark Connect server")],
)
def test_the_log_that_is_named_is_where_the_job_ran(monkeypatch: pytest.MonkeyPatch, variable: str, log: str) -> None:
    """A cluster, or a server of somebody else's, does not write to this machine's engine.log."""
    monkeypatch.setenv(variable, "1")
    assert log in str(as_lakehouse_error("raw_to_bronze", KeyError("x")))
