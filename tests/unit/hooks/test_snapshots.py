"""What is news of a table, by its metadata alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from airflow_lakehouse.hooks.snapshots import SnapshotLook
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

if TYPE_CHECKING:
    from pathlib import Path


def test_a_commit_of_a_clock_that_is_behind_is_news(tmp_path: Path) -> None:
    """Iceberg lets a commit bear a time before its parent's; it came later all the same, and is told once."""
    profile = Profile(str(tmp_path / "warehouse"))
    create_local_catalog(profile)
    rows = pa.table({"id": pa.array([1], pa.int64())})
    table = load_pyiceberg(profile).create_table("silver.events", rows.schema)
    for _ in range(2):
        table.append(rows)
    first, second = table.snapshots()
    late = second.model_copy(update={"timestamp_ms": first.timestamp_ms - 5000})
    table.metadata = table.metadata.model_copy(update={"snapshots": [first, late]})
    look = SnapshotLook("silver.events")
    found = look._judge(table, {"snapshot_id": first.snapshot_id, "timestamp_ms": first.timestamp_ms})
    assert (found.ready, found.found["snapshot_ids"]) == (True, [late.snapshot_id])
    assert not look._judge(table, found.cursor).ready
    gone = look._judge(table, {"snapshot_id": 17, "timestamp_ms": first.timestamp_ms - 1})
    assert gone.found["snapshot_ids"] == [first.snapshot_id]
