"""Tables that lose snapshots, are rolled back, or are made anew, under those who read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import LakehouseError
from airflow_lakehouse.spark import restore
from airflow_lakehouse.spark.engine.job_session import job_session
from airflow_lakehouse.spark.iceberg import load, run_tags
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.storage.catalog import get_table, load_pyiceberg
from airflow_lakehouse.tables import bronze, ops, silver
from airflow_lakehouse.testing.reference import ReferenceLakehouse, compare, read_drop
from tests.faults.dying import KilledError
from tests.faults.helpers import NOTHING, SPARK, ids, patient, to_bronze, to_silver, version
from tests.spark.helpers import silver_content, write_lines

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile

pytestmark = SPARK
_PATIENTS = bronze.PATIENT.identifier


@pytest.fixture
def profile(warehouse: Profile, tmp_path: Path) -> Profile:
    """Return a lakehouse of two days, the first of which is in silver."""
    profile = warehouse.with_raw(str(tmp_path / "drop"))
    _day(profile, tmp_path, 1, patient("p", gender="male", **version(1)), patient("q"))
    to_silver(profile)
    _day(profile, tmp_path, 2, patient("p", gender="female", **version(2)), patient("r"))
    return profile


def _day(profile: Profile, tmp_path: Path, day: int, *resources: dict[str, Any]) -> None:
    write_lines(tmp_path / f"drop/fhir/dt=2026-01-{day:02d}/1.ndjson", *resources)
    to_bronze(profile)


def _sql(profile: Profile, *statements: str) -> None:
    with job_session(profile) as spark:
        for statement in statements:
            spark.sql(statement).collect()


def _snapshots(profile: Profile) -> list[int]:
    return [snapshot.snapshot_id for snapshot in get_table(load_pyiceberg(profile), _PATIENTS).snapshots()]


def test_an_expired_snapshot_costs_time_and_nothing_else(profile: Profile) -> None:
    """Row 27: the bronze snapshot that silver last saw is expired; silver is what a full rebuild makes of bronze."""
    catalog = load_pyiceberg(profile)
    for point in run_tags.points(catalog):
        run_tags.forget(catalog, point)
    now = "TIMESTAMP '2100-01-01 00:00:00'"
    _sql(profile, f"CALL lakehouse.system.expire_snapshots('{_PATIENTS}', {now}, 1)")
    assert len(_snapshots(profile)) == 1
    to_silver(profile)
    assert ids(profile) == {"p", "q", "r"}
    before = silver_content(profile)
    to_silver(profile, full=True)
    assert silver_content(profile) == before


def test_bronze_that_was_rolled_back_is_followed(profile: Profile) -> None:
    """Row 28: silver is ahead of bronze after a rollback; it is rebuilt from what bronze is now."""
    to_silver(profile)
    assert ids(profile) == {"p", "q", "r"}
    _sql(profile, f"CALL lakehouse.system.rollback_to_snapshot('{_PATIENTS}', {_snapshots(profile)[0]})")
    to_silver(profile)
    assert ids(profile) == {"p", "q"}
    assert {row["gender"] for row in read_rows(profile, "silver_dim_patient") if row["patient_id"] == "p"} == {"male"}


def test_a_table_made_anew_under_a_run(profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 30: a table is dropped and created again while a load is about to commit to it: nothing is half there.

    The run writes all its rows to the table that is there, or fails; silver does not take the new table for the old
    one, whose snapshots it has seen.
    """
    to_silver(profile)
    original = load.insert_new

    def after_recreating(*args: Any, **kwargs: Any) -> None:
        catalog = load_pyiceberg(profile)
        catalog.drop_table(_PATIENTS)
        create_table(catalog, bronze.PATIENT)
        original(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(load, "insert_new", after_recreating)
        try:
            _day(profile, tmp_path, 3, patient("s"), patient("t"))
        except LakehouseError:
            assert read_rows(profile, "bronze_fhir_patient") == []
            to_bronze(profile)
    assert ids(profile, "bronze_fhir_patient", "resource_id") == {"s", "t"}
    to_silver(profile)
    assert ids(profile) == {"s", "t"}


def _lose(profile: Profile, name: str) -> None:
    """Delete every metadata file that tells of a table's last snapshot."""
    table = get_table(load_pyiceberg(profile), name)
    current = table.current_snapshot()
    assert current
    for path in Path(table.metadata_location.removeprefix("file://")).parent.glob("*.metadata.json"):
        if str(current.snapshot_id) in path.read_text():
            path.unlink()


def test_lost_metadata_is_put_back(profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 36: the metadata of bronze, silver and the ledger is deleted; put back, the next runs lose or double nothing.

    What the last commits had written is gone with them, so the files that held it are loaded again, as they were. The
    same if the process that puts it back is killed half-way.
    """
    to_silver(profile)
    before, again = silver_content(profile), read_rows(profile, _PATIENTS)
    for name in (_PATIENTS, silver.PATIENT.identifier, ops.INGESTED_FILES.identifier):
        _lose(profile, name)
    with pytest.raises(LakehouseError, match="doctor"):
        to_bronze(profile)

    original = restore._put_back

    def put_back(properties: Any, table: restore.Lost) -> None:
        if table.name == _PATIENTS:
            raise KilledError
        original(properties, table)

    with monkeypatch.context() as patched:
        patched.setattr(restore, "_put_back", put_back)
        with pytest.raises(KilledError):
            restore.restore(profile)
    assert {table.name for table in restore.restore(profile)} == {_PATIENTS, silver.PATIENT.identifier}
    assert ids(profile, _PATIENTS, "resource_id") == {"p", "q"}
    states = {entry["state"] for entry in read_rows(profile, "ops.ingested_files")}
    assert states == {"loaded", "discovered"}, "a file whose rows are gone must wait to be loaded again"
    to_bronze(profile)
    to_silver(profile)
    assert silver_content(profile) == before
    key = ("source_uri", "source_etag", "source_row")
    order = {tuple(row[name] for name in key): row for row in again}
    assert {tuple(row[name] for name in key): row for row in read_rows(profile, _PATIENTS)} == order
    expected = ReferenceLakehouse()
    expected.run(read_drop(tmp_path / "drop"))
    assert compare(profile, expected) == NOTHING
