"""Maintenance by Iceberg's own procedures: cheaper to read, and not a row other than before."""

from __future__ import annotations

import os
import threading
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_lakehouse.exceptions import MaintenanceError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.engine.session import open_session
from airflow_lakehouse.spark.iceberg import run_tags
from airflow_lakehouse.spark.iceberg.conflicts import is_conflict
from airflow_lakehouse.spark.jobs import JobArguments, JobResult, run_job
from airflow_lakehouse.spark.maintenance import verify
from airflow_lakehouse.spark.maintenance.health import health_of
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.silver import delta
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.files import local_path
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import bronze, silver
from tests.rewrites import rewrite
from tests.spark.helpers import load, silver_content, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable
    from pyspark.sql import SparkSession

    from airflow_lakehouse.spark.engine.connect_server import Server

pytestmark = pytest.mark.spark

NAME = "silver.silver_thing"
STRICT = MaintenancePolicy(
    min_input_files=2, max_delete_ratio=0.01, max_stray_deletes=1, snapshot_days=0, keep_snapshots=1, min_expired=1
)
WEEK_OLD = time.time() - 7 * 86_400


@pytest.fixture
def spark(warehouse: Profile, engine: Server) -> Iterator[SparkSession]:
    """Return a session on a warehouse without a table."""
    create_local_catalog(warehouse)
    with open_session(warehouse, engine.remote) as spark:
        yield spark


def _create(spark: SparkSession, files: int = 6, partitions: str = "bucket(2, id)") -> None:
    """Create a table with every kind of column, and insert into it."""
    modes = ", ".join(f"'write.{what}.mode'='merge-on-read'" for what in ("merge", "update", "delete"))
    spark.sql(
        f"CREATE TABLE lakehouse.{NAME} (id INT, said STRING, more MAP<STRING, STRING>, many ARRAY<STRING>,"
        f" price DECIMAL(38,12), `two words` DOUBLE, dt DATE) USING iceberg PARTITIONED BY ({partitions})"
        f" TBLPROPERTIES ('format-version'='2', {modes})"
    )
    for number in range(files):
        _insert(spark, number * 20)


def _insert(spark: SparkSession, first: int) -> None:
    spark.sql(
        f"INSERT INTO lakehouse.{NAME} SELECT CAST(id AS INT), concat('v', id), map('a', id), array('x', null),"
        f" id / 3, IF(id % 2 = 0, null, 0.5), IF(id % 3 = 0, null, DATE'2026-01-15') FROM range({first}, {first + 20})"
    )


def _table(profile: Profile, name: str = NAME) -> IcebergTable:
    return load_pyiceberg(profile).load_table(name)


def _rows(profile: Profile) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _table(profile).scan().to_arrow().sort_by("id").to_pylist()
    return rows


def _maintain(profile: Profile, policy: MaintenancePolicy = STRICT) -> JobResult:
    return run_job("maintain", JobArguments(profile, policy=policy))


def test_a_table_is_merged_expired_and_cleaned(warehouse: Profile, spark: SparkSession) -> None:
    """Small files, their deletes, snapshots and stray files go; every row stays; a second time nothing is due."""
    _create(spark)
    spark.sql(f"UPDATE lakehouse.{NAME} SET said = 'changed' WHERE id % 10 = 3")
    spark.sql(f"DELETE FROM lakehouse.{NAME} WHERE id % 10 = 4")
    rows, before = _rows(warehouse), health_of(_table(warehouse))
    assert before.delete_files > 1
    assert before.deleted_rows == 24
    folder = local_path(_table(warehouse).location())
    assert folder
    stray = folder / "data" / "stray.parquet"
    stray.write_bytes(b"left by a job that was killed")
    os.utime(stray, (WEEK_OLD, WEEK_OLD))

    result = _maintain(warehouse, MaintenancePolicy.from_dict({**STRICT.as_dict(), "orphan_days": 3}))
    assert [step["action"] for step in result.steps] == [
        "rewrite_data_files",
        "rewrite_position_delete_files",
        "expire_snapshots",
        "remove_orphan_files",
    ]
    assert _rows(warehouse) == rows
    after = health_of(_table(warehouse))
    assert (after.data_files, after.delete_files, after.snapshots) == (2, 0, 3)
    assert after.last_compaction is not None
    assert not stray.exists()
    counts = result.tables["silver_thing"]
    assert counts["rows"] == len(rows) == 108
    assert counts["files_saved"] == before.data_files + before.delete_files - 2
    assert counts["bytes_saved"] == before.data_bytes + before.delete_bytes - after.data_bytes
    assert (counts["snapshots"], counts["snapshots_expired"]) == (3, 7)

    # What was there before the rewrite is named by the snapshot before it, until that goes.
    again = _maintain(warehouse)
    assert [step["action"] for step in again.steps] == ["expire_snapshots"]
    left = {path.name for path in folder.rglob("*.parquet")}
    assert left == {task.file.file_path.rpartition("/")[2] for task in _table(warehouse).scan().plan_files()}
    assert again.tables["silver_thing"]["files_freed"] > before.data_files + before.delete_files
    assert again.tables["silver_thing"]["bytes_freed"] > before.data_bytes + before.delete_bytes
    assert _rows(warehouse) == rows
    assert (_maintain(warehouse).status, health_of(_table(warehouse)).snapshots) == ("unchanged", 1)


def test_a_table_that_declares_an_order_keeps_it(warehouse: Profile, spark: SparkSession) -> None:
    """Files that came in any order are one file afterwards whose rows are in the table's own."""
    _create(spark, 0)
    spark.sql(f"ALTER TABLE lakehouse.{NAME} WRITE ORDERED BY price DESC")
    for first in (20, 60, 0, 40):
        _insert(spark, first)
    rows = _rows(warehouse)
    _maintain(warehouse)
    assert _rows(warehouse) == rows
    files = [urlsplit(task.file.file_path).path for task in _table(warehouse).scan().plan_files()]
    prices = [pq.read_table(file, partitioning=None)["price"].to_pylist() for file in files]
    assert [len(one) > 20 for one in prices] == [True, True]
    assert all(one == sorted(one, reverse=True) for one in prices)


@pytest.mark.parametrize("partitions", ["bucket(2, id)", "dt", "truncate(3, said)"])
def test_a_rewrite_that_changes_a_row_is_rolled_back(warehouse: Profile, spark: SparkSession, partitions: str) -> None:
    """One value of one row differs: the column is named, and the table is back at what it was."""
    _create(spark, 1, partitions)
    table = _table(warehouse)
    rows, since = _rows(warehouse), table.current_snapshot()
    assert since
    file = next(iter(table.scan().plan_files())).file
    other = _with_another_value(file)
    rewrite(_table(warehouse), [file], [file])
    verify.check_rewrites(spark, _table(warehouse), since.snapshot_id)
    rewrite(_table(warehouse), [file], [other])
    assert _rows(warehouse) != rows
    with pytest.raises(MaintenanceError, match=rf"changed said .*rolled back to snapshot {since.snapshot_id}"):
        verify.check_rewrites(spark, _table(warehouse), since.snapshot_id)
    assert _rows(warehouse) == rows

    rewrite(_table(warehouse), [file], [])
    _insert(spark, 1000)
    with pytest.raises(MaintenanceError, match=r"id, .*the number of rows.*so it was not rolled back"):
        verify.check_rewrites(spark, _table(warehouse), since.snapshot_id)


def _with_another_value(file: DataFile) -> DataFile:
    """Return a data file like this one, in which the first row says something else."""
    path = Path(file.file_path.removeprefix("file:"))
    content = pq.read_table(path)
    said = pa.array(["other", *content["said"].to_pylist()[1:]])
    place = content.column_names.index("said")
    changed = path.with_suffix(".other.parquet")
    pq.write_table(content.set_column(place, content.schema.field(place), said), changed)
    other = deepcopy(file)
    other[1], other[5] = f"file:{changed}", changed.stat().st_size
    return other


def test_writers_and_compaction_do_not_hurt_each_other(warehouse: Profile, spark: SparkSession, engine: Server) -> None:
    """Appends and updates go on while the table is compacted; all are in it afterwards, once."""
    _create(spark)
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with open_session(warehouse, engine.remote) as other:
                for number in range(3):
                    _insert(other, 1000 + number * 20)
                    _again(other, f"UPDATE lakehouse.{NAME} SET said = 'w{number}' WHERE id = {number * 20 + 1}")
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that pytest watches
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    compacted = _maintain(warehouse, MaintenancePolicy(min_input_files=2))
    writer.join()
    assert failures == []
    assert compacted.status == "complete"
    said = {row["id"]: row["said"] for row in _rows(warehouse)}
    wanted = {id_: f"v{id_}" for id_ in (*range(120), *range(1000, 1060))}
    assert said == wanted | {number * 20 + 1: f"w{number}" for number in range(3)}
    assert len(_rows(warehouse)) == len(said)


def _again(spark: SparkSession, statement: str) -> None:
    """Run a statement, as a job is retried: until nobody else commits first."""
    for _ in range(10):
        try:
            spark.sql(statement)
        except Exception as error:
            if not is_conflict(error):
                raise
        else:
            return
    pytest.fail("somebody else commits first, every time")


def test_silver_finds_its_delta_after_compaction_and_expiry(warehouse: Profile, tmp_path: Path) -> None:
    """Maintained between runs, silver is what one run makes of all; and the next run still reads only what is new.

    That holds where the tags of runs are gone, too, and only watermarks need old snapshots.
    """
    drop = tmp_path / "drop"
    for number in range(3):
        write_lines(drop / f"{number}.ndjson", *_records(number))
        load(warehouse, drop)
    catalog = load_pyiceberg(warehouse)
    for point in run_tags.points(catalog):
        run_tags.forget(catalog, point)
    seen = delta.stored(catalog, silver.PATIENT)
    assert seen
    snapshot = seen.snapshot(bronze.PATIENT)
    assert snapshot

    tables = (bronze.PATIENT.name, silver.PATIENT.name, bronze.OBSERVATION.name)
    result = _maintain(warehouse, replace(STRICT, tables=tables))
    done = {(step["table"], step["action"]) for step in result.steps}
    assert {(bronze.PATIENT.identifier, action) for action in ("rewrite_data_files", "expire_snapshots")} <= done
    assert (silver.PATIENT.identifier, "expire_snapshots") in done
    assert delta.stored(load_pyiceberg(warehouse), silver.PATIENT) == seen
    quiet = run_job("bronze_to_silver", JobArguments(warehouse))
    assert quiet.tables["silver_dim_patient"] == {"rows": 4, "added": 0, "updated": 0, "deleted": 0}

    write_lines(drop / "3.ndjson", *_records(3))
    load(warehouse, drop)
    found = _table(warehouse, bronze.PATIENT.identifier)
    current = found.current_snapshot()
    assert current
    assert delta._only_grew(found, snapshot, current.snapshot_id)
    at_once = Profile(str(tmp_path / "at_once"))
    load(at_once, drop)
    assert silver_content(warehouse) == silver_content(at_once)
    assert len(silver_content(warehouse)["silver_dim_patient"]) == 5


def _records(number: int) -> list[dict[str, Any]]:
    """Return a new patient, and new versions of another and of an observation."""
    version = {"meta": {"versionId": str(number), "lastUpdated": f"2026-01-{number + 1:02d}T00:00:00Z"}}
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1-1"}]},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": f"2026-01-0{1 + number % 2}T10:00:00Z",
        "valueInteger": number,
    }
    return [
        {"resourceType": "Patient", "id": f"p{number}"},
        {"resourceType": "Patient", "id": "p", "gender": ("male", "female")[number % 2]} | version,
        observation | version,
    ]
