"""Code of the user's own on the real engine: what it writes is committed, and its snapshots are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.exceptions import JobFailedError
from airflow_lakehouse.operators import shipped_code
from airflow_lakehouse.spark.jobs import JobArguments, run_job
from airflow_lakehouse.spark.storage.catalog import current_snapshot, load_pyiceberg

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark
TABLE = "gold.daily"


def write_rows(spark: Any, rows: int) -> dict[str, int]:
    """Write a table."""
    spark.range(rows).writeTo("gold.daily").createOrReplace()
    return {"rows": rows}


def read_what_is_not_there(spark: Any) -> None:
    """Fail as Spark does."""
    spark.table("gold.absent").count()


SCRIPT = """
from pyspark.sql import SparkSession

session = SparkSession.builder.getOrCreate()
result = {"rows": session.table("gold.daily").count(), "day": arguments["day"]}
"""


def _run(profile: Profile, code: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    given = {"profile": profile.as_dict(), "run_id": "run", "tables": [TABLE, "gold.untouched"]}
    code = shipped_code.with_arguments(code, [], kwargs)
    return run_job("user_code", JobArguments.from_dict({**given, "code": code})).as_dict()


def test_a_function_and_a_script_work_on_the_lakehouse(warehouse: Profile) -> None:
    """A function writes into a new lakehouse; a script that asks for a session itself gets the one there is."""
    first = _run(warehouse, shipped_code.ship(write_rows), rows=3)
    assert first["values"] == {"rows": 3}
    head = current_snapshot(load_pyiceberg(warehouse), TABLE)
    assert head is not None
    assert first["snapshots"] == {TABLE: {"before": None, "after": head.snapshot_id}}
    assert head.summary is not None
    assert head.summary.additional_properties["lakehouse.run-id"] == "run"
    read = _run(warehouse, {"script": "read.py", "source": SCRIPT}, day="2026-01-15")
    assert read["values"] == {"rows": 3, "day": "2026-01-15"}
    assert read["snapshots"] == {}
    again = _run(warehouse, shipped_code.ship(write_rows), rows=4)
    assert again["snapshots"][TABLE]["before"] == head.snapshot_id


def test_a_failure_says_class_condition_and_line(warehouse: Profile) -> None:
    """A Spark error is told by its condition and the line of the function, never by its text."""
    with pytest.raises(JobFailedError, match=r"raised AnalysisException TABLE_OR_VIEW_NOT_FOUND \(.*, line \d+\)"):
        _run(warehouse, shipped_code.ship(read_what_is_not_there))
