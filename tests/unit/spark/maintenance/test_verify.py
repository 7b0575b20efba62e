"""Which snapshots are compared with which; the comparison itself needs Spark."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from airflow_lakehouse.exceptions import MaintenanceError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.maintenance.verify import _rewrites
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables.spec import Column, Table
from tests.rewrites import rewrite

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.table import Table as IcebergTable

TABLE = Table("silver_thing", "silver", "one row per thing", (Column("id", "string", "Its name"),), ("id",))


@pytest.fixture
def table(tmp_path: Path) -> IcebergTable:
    """Return a table with one row."""
    profile = Profile(os.fspath(tmp_path / "warehouse"))
    create_local_catalog(profile)
    create_table(load_pyiceberg(profile), TABLE)
    table = load_pyiceberg(profile).load_table(TABLE.identifier)
    _append(table)
    return table


def _append(table: IcebergTable) -> int:
    table.append(pa.table({"id": ["a"]}))
    return _current(table)


def _rewrite(table: IcebergTable) -> int:
    file = next(iter(table.scan().plan_files())).file
    rewrite(table, [file], [file])
    return _current(table)


def _current(table: IcebergTable) -> int:
    snapshot = table.refresh().current_snapshot()
    assert snapshot
    return snapshot.snapshot_id


def _pairs(table: IcebergTable, since: int) -> list[tuple[int, int]]:
    return [(old.snapshot_id, new.snapshot_id) for old, new in _rewrites(table.refresh(), since)]


def test_a_rewrite_is_compared_with_what_it_was_made_from(table: IcebergTable) -> None:
    """Others commit before, between and after: each row of rewrites begins at the commit right before it."""
    since = _current(table)
    assert _pairs(table, since) == []
    theirs = _append(table)
    _rewrite(table)
    second = _rewrite(table)
    later = _append(table)
    third = _rewrite(table)
    assert _pairs(table, since) == [(theirs, second), (later, third)]
    _append(table)
    assert _pairs(table, since) == [(theirs, second), (later, third)]
    assert _pairs(table, theirs) == [(theirs, second), (later, third)]
    assert _pairs(table, third) == []


def test_a_table_that_was_rolled_back_has_no_rewrite_to_compare(table: IcebergTable) -> None:
    """Somebody went back behind the step: what it did is in nobody's way. Where the start is gone, that is said."""
    first, since = _current(table), _append(table)
    _rewrite(table)
    with table.manage_snapshots() as change:
        change.rollback_to_snapshot(first)
    assert _pairs(table, since) == []
    with pytest.raises(MaintenanceError, match="snapshot 7 is gone"):
        _pairs(table, 7)
