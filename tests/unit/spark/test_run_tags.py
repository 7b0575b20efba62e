"""What runs, tags and times stand for; a real catalog, no engine."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_lakehouse.exceptions import JobError, SnapshotNotFoundError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark import jobs
from airflow_lakehouse.spark.iceberg import lineage, run_tags
from airflow_lakehouse.spark.iceberg.as_of import find_run, resolve
from airflow_lakehouse.spark.jobs import UNCHANGED, JobArguments, JobResult
from airflow_lakehouse.spark.maintenance.history import expirable, history_of
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.catalog import Catalog

A, B = "silver.silver_a", "bronze.bronze_b"
AIRFLOW_RUN = "manual__2026-01-15T06:00:00+00:00"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """Return a profile on a warehouse of its own."""
    return Profile(os.fspath(tmp_path / "warehouse"))


@pytest.fixture
def catalog(profile: Profile) -> Catalog:
    """Return a catalog with two tables without rows."""
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    for name in (A, B):
        catalog.create_table(name, schema=pa.schema([("n", pa.int64())]))
    return catalog


def _add(catalog: Catalog, name: str, number: int) -> None:
    # Iceberg's times are milliseconds: two commits in one could not be told apart.
    time.sleep(0.002)
    catalog.load_table(name).append(pa.table({"n": pa.array([number])}))
    time.sleep(0.002)


def _read(catalog: Catalog, name: str, as_of: str | None) -> list[int] | None:
    table = catalog.load_table(name)
    snapshot = resolve(catalog, as_of).snapshot(table)
    return sorted(table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()["n"].to_pylist()) if snapshot else None


@given(st.text(), st.text())
def test_a_tag_names_one_run(first: str, second: str) -> None:
    """Two runs never share a tag, and no tag holds a character that an engine could stumble over."""
    assert (run_tags.tag_of(first) == run_tags.tag_of(second)) == (first == second)
    assert set(run_tags.tag_of(first)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~%")


def test_a_run_stands_for_every_table(catalog: Catalog) -> None:
    """A table the run did not touch is read as it was then, one that had no rows has none."""
    _add(catalog, A, 1)
    run_tags.tag_run(catalog, AIRFLOW_RUN)
    _add(catalog, B, 2)
    run_tags.tag_run(catalog, "second")
    _add(catalog, A, 3)
    _add(catalog, B, 4)
    assert (_read(catalog, A, AIRFLOW_RUN), _read(catalog, B, AIRFLOW_RUN)) == ([1], None)
    assert (_read(catalog, A, "second"), _read(catalog, B, "second")) == ([1], [2])
    assert (_read(catalog, A, None), _read(catalog, B, None)) == ([1, 3], [2, 4])
    # The name of the tag does, too: it is what SQL wants.
    assert _read(catalog, A, run_tags.tag_of(AIRFLOW_RUN)) == [1]


def test_later_jobs_of_a_run_take_its_tags_along(catalog: Catalog) -> None:
    """A run stands for what its last job left; a job that moves some tables leaves the tags of others."""
    _add(catalog, A, 1)
    run_tags.tag_run(catalog, "r")
    _add(catalog, A, 2)
    _add(catalog, B, 1)
    run_tags.tag_run(catalog, "r")
    assert (_read(catalog, A, "r"), _read(catalog, B, "r")) == ([1, 2], [1])
    _add(catalog, A, 3)
    _add(catalog, B, 2)
    run_tags.tag_run(catalog, "r", [A])
    assert (_read(catalog, A, "r"), _read(catalog, B, "r")) == ([1, 2, 3], [1])


def test_tagging_again_writes_nothing(catalog: Catalog) -> None:
    """The same snapshot under the same tag is no commit."""
    _add(catalog, A, 1)
    run_tags.tag_run(catalog, "r")
    before = catalog.load_table(A).metadata_location
    run_tags.tag_run(catalog, "r")
    assert catalog.load_table(A).metadata_location == before


def test_retention_counts_from_the_run(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that is old when it is tagged is kept as long as one that is new: Iceberg reckons from its commit."""
    _add(catalog, A, 1)
    later = time.time() + timedelta(days=400).total_seconds()
    monkeypatch.setattr(time, "time", lambda: later)
    run_tags.tag_run(catalog, "r")
    (point,) = run_tags.points(catalog)
    assert point.expires is not None
    assert abs(point.expires.timestamp() - later - run_tags.RETENTION.total_seconds()) < 1


def test_a_run_is_kept_until_it_is_let_go(catalog: Catalog) -> None:
    """Kept, it does not expire, not even when a later job of it moves its tags; let go, it does."""
    _add(catalog, A, 1)
    run_tags.tag_run(catalog, "r")
    run_tags.keep(catalog, find_run(catalog, "r").point)
    _add(catalog, A, 2)
    run_tags.tag_run(catalog, "r")
    assert [(point.name, point.expires) for point in run_tags.points(catalog)] == [("r", None)]
    assert catalog.load_table(A).refs()[run_tags.tag_of("r")].max_ref_age_ms is None
    run_tags.let_go(catalog, find_run(catalog, "r").point)
    (point,) = run_tags.points(catalog)
    assert point.expires is not None
    assert point.expires > datetime.now(UTC) + run_tags.RETENTION - timedelta(minutes=1)


def test_a_run_can_be_forgotten(catalog: Catalog) -> None:
    """Its tags go from every table, and it is not known any more; other runs are."""
    _add(catalog, A, 1)
    _add(catalog, B, 1)
    for run in ("r", "s"):
        run_tags.tag_run(catalog, run)
    run_tags.forget(catalog, find_run(catalog, "r").point)
    assert [point.name for point in run_tags.points(catalog)] == ["s"]
    assert run_tags.tag_of("r") not in {**catalog.load_table(A).refs(), **catalog.load_table(B).refs()}


def test_a_job_tags_what_it_changed(profile: Profile, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what it left alone or half done, nor upkeep; but what it had committed when it was killed before."""

    def names_after(run_id: str, status: str, name: str = "raw_to_bronze") -> list[str]:
        job = SimpleNamespace(run=lambda arguments: JobResult(arguments.run_id, status=status))
        monkeypatch.setattr(jobs, "_module", lambda _: job)
        jobs.run_job(name, JobArguments(profile, run_id=run_id))
        return [point.name for point in run_tags.points(catalog)]

    catalog.load_table(A).append(pa.table({"n": pa.array([1])}), snapshot_properties={run_tags.RUN_ID: "killed"})
    assert names_after("first", UNCHANGED) == []
    monkeypatch.setattr(jobs, "_module", lambda _: SimpleNamespace(run=None))
    with pytest.raises(JobError):
        jobs.run_job("raw_to_bronze", JobArguments(profile, run_id="failed"))
    assert names_after("killed", UNCHANGED) == ["killed"]
    assert sorted(names_after("second", "complete")) == ["killed", "second"]
    assert sorted(names_after("upkeep", "complete", "maintain")) == ["killed", "second"]


def test_maintenance_keeps_what_a_run_left(catalog: Catalog) -> None:
    """The snapshots of a run stay until its tags may go; what lies between two runs, and between two jobs, goes."""
    _add(catalog, A, 1)
    run_tags.tag_run(catalog, "old")
    for number in (2, 3):
        _add(catalog, A, number)
    run_tags.tag_run(catalog, "new")
    _add(catalog, A, 4)
    table = catalog.load_table(A)
    ids = [snapshot.snapshot_id for snapshot in table.snapshots()]
    policy = MaintenancePolicy(snapshot_days=0, keep_snapshots=1, min_expired=1)

    def gone(after: timedelta) -> list[int]:
        found = expirable(history_of(table), frozenset(), policy, datetime.now(UTC) + after)
        return [ids.index(snapshot.id) for snapshot in found]

    assert gone(run_tags.RETENTION - timedelta(hours=1)) == [1]
    assert gone(run_tags.RETENTION + timedelta(hours=1)) == [0, 1, 2]
    run_tags.keep(catalog, find_run(catalog, "old").point)
    table = catalog.load_table(A)
    assert gone(10 * run_tags.RETENTION) == [1, 2]


def test_a_tag_of_somebody_else_stands_for_its_tables(catalog: Catalog) -> None:
    """A tag made in SQL is read like a run, on the tables that carry it; of others it says nothing."""
    _add(catalog, A, 1)
    _add(catalog, B, 1)
    table = catalog.load_table(A)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    table.manage_snapshots().create_tag(snapshot.snapshot_id, "report").commit()
    _add(catalog, A, 2)
    assert _read(catalog, A, "report") == [1]
    assert not resolve(catalog, "report").covers(catalog.load_table(B))
    with pytest.raises(SnapshotNotFoundError, match=f"{B} has no tag 'report'.*{A}"):
        _read(catalog, B, "report")


def test_a_time_stands_for_what_readers_saw_then(catalog: Catalog) -> None:
    """With an offset or without, which is UTC; before the first commit there is nothing, and none in the future."""
    start = datetime.now(UTC)
    _add(catalog, A, 1)
    between = datetime.now(UTC)
    _add(catalog, A, 2)
    assert _read(catalog, A, start.isoformat()) is None
    assert _read(catalog, A, between.isoformat()) == [1]
    assert _read(catalog, A, between.replace(tzinfo=None).isoformat()) == [1]
    assert _read(catalog, A, between.astimezone().isoformat()) == [1]
    assert _read(catalog, A, datetime.now(UTC).isoformat()) == [1, 2]
    with pytest.raises(SnapshotNotFoundError, match="future"):
        _read(catalog, A, "2999-01-01")


def test_what_is_none_of_these_is_refused_with_what_there_is(catalog: Catalog) -> None:
    """The message says what was given, names the newest runs and tags, and how a time looks."""
    for number in range(7):
        _add(catalog, A, number)
        run_tags.tag_run(catalog, f"r{number}")
    with pytest.raises(SnapshotNotFoundError, match=r"'nothing'.*r6, r5, r4, r3, r2 \.\.\.; tags none yet.*20.*runs"):
        resolve(catalog, "nothing")
    with pytest.raises(SnapshotNotFoundError, match=r"'r9'.*r6"):
        find_run(catalog, "r9")
    with pytest.raises(SnapshotNotFoundError):
        resolve(catalog, "")


def test_what_has_expired_is_not_taken_for_nothing(catalog: Catalog) -> None:
    """A table whose tag or history is gone is an error, not a table without rows."""
    _add(catalog, A, 1)
    _add(catalog, B, 1)
    run_tags.tag_run(catalog, "r")
    early = datetime.now(UTC)
    _add(catalog, A, 2)
    table = catalog.load_table(A)
    first = table.refs()[run_tags.tag_of("r")].snapshot_id
    table.manage_snapshots().remove_tag(run_tags.tag_of("r")).commit()
    catalog.load_table(A).maintenance.expire_snapshots().by_id(first).commit()
    assert _read(catalog, B, "r") == [1]
    for asked in ("r", early.isoformat()):
        with pytest.raises(SnapshotNotFoundError, match=A):
            _read(catalog, A, asked)


def test_a_line_broken_by_expiry_tells_nothing(catalog: Catalog) -> None:
    """A snapshot from before the gap may be an ancestor; one beside the line that is left is none."""
    for number in range(4):
        _add(catalog, A, number)
    table = catalog.load_table(A)
    first, second, third, fourth = (one.snapshot_id for one in table.snapshots())
    assert [lineage.has_left(table, one, table.snapshot_by_id(third)) for one in (first, third, fourth)] == [0, 0, 1]
    assert lineage.has_left(table, first, None)
    table.manage_snapshots().create_tag(first, "t").commit()
    catalog.load_table(A).maintenance.expire_snapshots().by_id(second).commit()
    table = catalog.load_table(A)
    assert not lineage.has_left(table, first, table.current_snapshot())
    assert not lineage.has_left(table, second, table.current_snapshot())
