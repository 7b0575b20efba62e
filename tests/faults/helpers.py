"""What the fault tests say often."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.spark.jobs import JobArguments, JobResult, run_job
from airflow_lakehouse.spark.storage.catalog import get_table, load_pyiceberg
from airflow_lakehouse.testing.reference import Differences, ReferenceLakehouse, compare, read_drop
from airflow_lakehouse.testing.s3_server import has_go

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile

SPARK = [pytest.mark.spark, pytest.mark.usefixtures("lakehouse_engine")]
"""Marks of a module that needs the engine."""
VERSITYGW = pytest.param(
    "strict_s3_server",
    id="versitygw",
    # Built on the first use, which takes minutes.
    marks=[
        pytest.mark.thorough,
        pytest.mark.timeout(1800),
        pytest.mark.skipif(not has_go(), reason="versitygw is built by Go, which is not here"),
    ],
)
"""Parameter of a fixture: S3 from versitygw."""
NOTHING = Differences()


def to_bronze(profile: Profile, **arguments: Any) -> JobResult:
    """Load the profile's drop."""
    return run_job("raw_to_bronze", JobArguments(profile, **arguments))


def to_silver(profile: Profile, **arguments: Any) -> JobResult:
    """Bring silver up to date."""
    return run_job("bronze_to_silver", JobArguments(profile, **arguments))


def load_and_compare(profile: Profile, expected: ReferenceLakehouse) -> None:
    """Take the drop through bronze and silver, and compare both with what they must hold."""
    to_bronze(profile)
    to_silver(profile)
    expected.run(read_drop(profile.raw or ""))
    assert compare(profile, expected) == NOTHING


def ids(profile: Profile, table: str = "silver_dim_patient", column: str = "patient_id") -> set[str]:
    """Return the ids a table holds."""
    return {row[column] for row in read_rows(profile, table)}


def commits(profile: Profile, table: str) -> list[tuple[int, str]]:
    """Return the commits of a table, oldest first: rows added, and the run that made it."""
    found = []
    for snapshot in get_table(load_pyiceberg(profile), table).snapshots():
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        found.append((int(summary.get("added-records", 0)), summary.get("lakehouse.run-id", "")))
    return found


def lines(*resources: dict[str, Any] | bytes) -> bytes:
    """Return NDJSON."""
    return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in resources)


def patient(id_: str, **more: Any) -> dict[str, Any]:
    """Return a patient."""
    return {"resourceType": "Patient", "id": id_, **more}


def observation(id_: str, patient_id: str = "p", hour: int = 10, **more: Any) -> dict[str, Any]:
    """Return an observation of a patient."""
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1-1"}]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "effectiveDateTime": f"2026-01-01T{hour:02d}:00:00Z",
        **more,
    }


def version(number: int) -> dict[str, Any]:
    """Return the meta of a version: its number, and a time that goes with it."""
    return {"meta": {"versionId": str(number), "lastUpdated": f"2026-01-{number:02d}T00:00:00Z"}}


def deletion(*urls: str, **more: Any) -> dict[str, Any]:
    """Return a Bundle that deletes resources."""
    entries = [{"request": {"method": "DELETE", "url": url}} for url in urls]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries, **more}
