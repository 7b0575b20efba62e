"""Two runs at once, made to meet: each waits for the other just before it commits."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import LakehouseError
from airflow_lakehouse.spark.iceberg import load
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.jobs import JobArguments, run_job
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.silver import conform
from airflow_lakehouse.spark.storage.catalog import get_table, load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import silver
from airflow_lakehouse.testing.reference import ReferenceLakehouse, compare, read_drop
from tests.faults.helpers import (
    NOTHING,
    SPARK,
    commits,
    load_and_compare,
    observation,
    patient,
    to_bronze,
    to_silver,
    version,
)
from tests.faults.meeting import both, conflicts_met, meeting, two_processes
from tests.spark.helpers import write_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import SparkSession

    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.spark.jobs import JobResult

pytestmark = SPARK
_LOCKED_SECONDS = 30


def _day(raw: Path, day: int, *resources: dict[str, Any]) -> None:
    write_lines(raw / f"fhir/dt=2026-01-{day:02d}/1.ndjson", *resources)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Return the conflicts that were met."""
    return conflicts_met(monkeypatch)


def test_two_runs_over_the_same_files(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[BaseException]
) -> None:
    """Rows 5, 6 and 10: of a zombie and its successor one commits, the other finds the rows there; both succeed.

    Both conform silver at once, too. Every row has one batch and one time, whoever wrote it.
    """
    raw = tmp_path / "drop"
    _day(raw, 1, *(patient(f"p{number}") for number in range(20)), observation("o"), patient("p0", **version(3)))
    profile = warehouse.with_raw(str(raw))
    expected = ReferenceLakehouse()
    expected.run(read_drop(raw))

    with meeting("insert_new", monkeypatch):
        loaded = both(lambda: to_bronze(profile), lambda: to_bronze(profile))
    assert counted, "the two did not meet"
    assert {result.status for result in loaded} == {"complete"}
    rows = [row for name in ("patient", "observation") for row in read_rows(profile, f"bronze_fhir_{name}")]
    assert len({(row["batch_id"], row["ingested_at"]) for row in rows}) == 1
    filled = [added for added, _ in commits(profile, "bronze.bronze_fhir_patient") if added]
    assert filled == [21]

    counted.clear()
    with meeting("head", monkeypatch):
        both(lambda: to_silver(profile), lambda: to_silver(profile))
    assert counted, "the two did not meet"
    assert compare(profile, expected) == NOTHING
    assert to_silver(profile).status == "unchanged"


def test_a_zombie_and_its_successor(warehouse: Profile, tmp_path: Path) -> None:
    """Rows 5 and 6, as two processes: try 2 of a task starts while try 1 still runs, and they meet at the commit.

    Both are of one run of the DAG, and have its id. Both succeed, in bronze and in silver, and every row is there once.
    """
    raw = tmp_path / "drop"
    _day(raw, 1, *(patient(f"p{number}") for number in range(20)), observation("o"))
    profile = warehouse.with_raw(str(raw))
    tries = [{"profile": profile.as_dict(), "run_id": "scheduled"}] * 2
    loaded = two_processes("insert_new", tmp_path / "bronze", "raw_to_bronze", *tries)
    assert [result["status"] for result in loaded] == ["complete"] * 2
    assert len({result["batch_id"] for result in loaded}) == 1
    assert [added for added, _ in commits(profile, "bronze.bronze_fhir_patient") if added] == [20]
    conformed = two_processes("conform", tmp_path / "silver", "bronze_to_silver", *tries)
    assert "complete" in {result["status"] for result in conformed}
    expected = ReferenceLakehouse()
    expected.run(read_drop(raw))
    assert compare(profile, expected) == NOTHING
    assert to_bronze(profile).status == to_silver(profile).status == "unchanged"


def test_two_runs_over_different_days(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[BaseException]
) -> None:
    """Rows 7 and 29: a backfill of one day while the daily run is on: neither is in the other's way.

    Each changes its own partition alone, and no MERGE has to be done again.
    """
    raw = tmp_path / "drop"
    _day(raw, 1, *(patient(f"a{number}") for number in range(20)))
    _day(raw, 2, *(patient(f"b{number}") for number in range(20)))
    profile = warehouse.with_raw(str(raw))
    with meeting("insert_new", monkeypatch):
        both(
            lambda: to_bronze(profile, dt="2026-01-01", run_id="backfill"),
            lambda: to_bronze(profile, dt="2026-01-02", run_id="daily"),
        )
    assert not [error for error in counted if "ValidationException" in f"{type(error).__name__} {error}"]
    touched = {}
    for snapshot in get_table(load_pyiceberg(profile), "bronze.bronze_fhir_patient").snapshots():
        assert snapshot.summary is not None
        told = snapshot.summary.additional_properties
        touched[told["lakehouse.run-id"]] = (told["added-records"], told["changed-partition-count"])
    assert touched == {"backfill": ("20", "1"), "daily": ("20", "1")}
    expected = ReferenceLakehouse()
    expected.run(read_drop(raw))
    to_silver(profile)
    assert compare(profile, expected) == NOTHING


@pytest.mark.thorough
def test_silver_made_from_an_older_bronze_heals(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 5, in silver: a run that saw less of bronze than another, and commits after it, takes nothing back."""
    raw = tmp_path / "drop"
    profile = warehouse.with_raw(str(raw))
    _day(raw, 1, patient("p", gender="male", **version(1)))
    to_bronze(profile)
    to_silver(profile)
    _day(raw, 2, patient("p", gender="female", **version(2)), patient("q"))
    to_bronze(profile)
    original = load.conform
    started: list[bool] = []

    def late(*args: Any, **kwargs: Any) -> None:
        if not started:
            started.append(True)
            # While this run is about to commit, a third day arrives and goes through silver.
            _day(raw, 3, patient("p", gender="other", **version(3)), patient("r"))
            to_bronze(profile)
            to_silver(profile)
        original(*args, **kwargs)

    monkeypatch.setattr(load, "conform", late)
    to_silver(profile)
    expected = ReferenceLakehouse()
    expected.run(read_drop(raw))
    to_silver(profile)
    people = {row["patient_id"]: row["gender"] for row in read_rows(profile, "silver_dim_patient")}
    assert people == {"p": "other", "q": None, "r": None}


def test_a_row_to_insert_that_is_there_takes_its_place(
    lakehouse_spark: SparkSession, lakehouse_profile: Profile
) -> None:
    """Row 5, in silver: what another run has inserted meanwhile gives way; passed over, the newer row would be lost."""
    catalog = load_pyiceberg(lakehouse_profile)
    create_table(catalog, silver.PATIENT)
    schema = lakehouse_spark.table("lakehouse.silver.silver_dim_patient").schema
    told = {"source_system": "s", "patient_id": "p", "batch_id": "b", "source_uri": "u", "source_row": 1}
    for city in ("Old", "New"):
        row = {**dict.fromkeys(schema.names), **told, "city": city, "ingested_at": datetime(2026, 1, 1, tzinfo=UTC)}
        changes = lakehouse_spark.createDataFrame([tuple(row[name] for name in schema.names)], schema)
        load.conform(lakehouse_spark, silver.PATIENT, changes.selectExpr("*", f"'insert' AS {conform.OPERATION}"))
    assert [row["city"] for row in read_rows(lakehouse_profile, "silver_dim_patient")] == ["New"]


def _until_it_succeeds(job: Callable[[Profile], JobResult], profile: Profile) -> None:
    for _ in range(4):
        with suppress(LakehouseError):
            job(profile)
            return
    job(profile)


@pytest.mark.thorough
def test_maintenance_beside_runs(warehouse: Profile, tmp_path: Path) -> None:
    """Rows 8 and 9: tables are compacted, snapshots expired and orphans removed, over and over, while days are loaded.

    No row is lost or doubled: no file of the present, and none of a commit under way, is deleted. Snapshots are kept
    for no time at all here, so a run may find the one it reads expired; it fails then, and the next reads another.
    """
    raw = tmp_path / "drop"
    profile = warehouse.with_raw(str(raw))
    policy = MaintenancePolicy(
        tables=("bronze_fhir_patient", "silver_dim_patient"),
        min_input_files=2,
        snapshot_days=0,
        keep_snapshots=1,
        min_expired=1,
        orphan_days=1,
    )
    expected = ReferenceLakehouse()

    def load_days() -> None:
        for day in (1, 2, 3):
            _day(raw, day, patient("p", **version(day)), patient(f"q{day}"), observation("o", hour=9 + day))
            expected.run(read_drop(raw))
            _until_it_succeeds(to_bronze, profile)
            _until_it_succeeds(to_silver, profile)

    _day(raw, 1, patient("p"))
    load_and_compare(profile, expected)
    with ThreadPoolExecutor(1) as pool:
        loading, maintained = pool.submit(load_days), 0
        while not loading.done():
            maintained += len(run_job("maintain", JobArguments(profile, policy=policy)).steps)
        loading.result()
    assert maintained > 0
    assert compare(profile, expected) == NOTHING


def test_a_locked_catalog_is_waited_for(warehouse: Profile, tmp_path: Path) -> None:
    """Row 37: somebody holds the SQLite file's lock for thirty seconds; the run waits, and succeeds.

    Python's own limit is five seconds, and Iceberg's retries are over sooner.
    """
    raw = tmp_path / "drop"
    _day(raw, 1, patient("p"))
    profile = replace(warehouse, raw=str(raw))
    create_local_catalog(profile)
    to_bronze(profile)
    _day(raw, 2, patient("q"))
    held = threading.Event()

    def hold() -> None:
        with sqlite3.connect(profile.catalog_file, isolation_level=None) as connection:
            connection.execute("BEGIN IMMEDIATE")
            held.set()
            time.sleep(_LOCKED_SECONDS)
            connection.execute("ROLLBACK")
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        lock = pool.submit(hold)
        assert held.wait(30)
        started = time.monotonic()
        to_bronze(profile)
        assert time.monotonic() - started > _LOCKED_SECONDS - 5, "the run did not meet the lock"
        lock.result()
    assert {row["resource_id"] for row in read_rows(profile, "bronze_fhir_patient")} == {"p", "q"}
