"""A run that is killed and started again."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import LakehouseError
from tests.spark.helpers import load

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark


def _is_written_down(profile: Profile) -> bool:
    try:
        return bool(read_rows(profile, "ops.ingested_files"))
    except (LakehouseError, OSError):
        return False


def test_a_killed_run_goes_on_where_it_was(warehouse: Profile, sample: Path) -> None:
    """Killed once its files are written down, it gives on the next start every row once, with the first run's time."""
    command = [sys.executable, "-m", "airflow_lakehouse.cli", "run", str(sample), "--warehouse", warehouse.warehouse]
    process = subprocess.Popen([*command, "--through", "bronze"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not _is_written_down(warehouse) and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.wait()
    first = {row["source_uri"]: row["ingested_at"] for row in read_rows(warehouse, "ops.ingested_files")}
    assert first

    bronze, _ = load(warehouse, sample)
    assert bronze.records["read"] == bronze.records["bronze"] + bronze.records["quarantine"]
    ledger = read_rows(warehouse, "ops.ingested_files")
    assert {row["source_uri"]: row["ingested_at"] for row in ledger} == first
    assert {row["state"] for row in ledger} <= {"loaded", "quarantined"}
    rows = read_rows(warehouse, "bronze_fhir_observation")
    places = {(row["source_uri"], row["source_row"], row["source_entry"]) for row in rows}
    assert len(places) == len(rows)
