"""Counts of silver that do not add up stop the run; a real catalog, no engine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import ReconciliationError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.catalog import create_local_catalog, load_pyiceberg
from airflow_lakehouse.spark.conform import Outcome
from airflow_lakehouse.spark.load import Change, ensure_tables
from airflow_lakehouse.spark.reconcile import check_silver
from airflow_lakehouse.tables import silver

if TYPE_CHECKING:
    from pathlib import Path


def test_a_row_that_is_not_stored_stops_the_run(tmp_path: Path) -> None:
    """Fewer rows than were conformed, or more, is an error that names both; the counts are recorded all the same."""
    profile = Profile(os.fspath(tmp_path / "warehouse"))
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    ensure_tables(catalog)
    no_engine: Any = None
    name = silver.PATIENT.name
    check_silver(no_engine, catalog, {name: Outcome(Change(rows=3), {"winner": 3}, 3)}, "run-1")
    check_silver(no_engine, catalog, {name: Outcome(Change(rows=9), {"winner": 3})}, "run-2")
    with pytest.raises(ReconciliationError, match=f"{name}: 4 conformed, 3 stored"):
        check_silver(no_engine, catalog, {name: Outcome(Change(rows=3), {"winner": 4}, 4)}, "run-3")
    recorded = {(row["run_id"], row["class"]): row["rows"] for row in read_rows(profile, "ops.reconciliation")}
    assert recorded["run-3", "winner"] == 4
