"""Runs that are killed with SIGKILL, and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.cli.sample import write_sample
from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.spark import connect_server
from airflow_lakehouse.spark.catalog import get_table, load_pyiceberg
from airflow_lakehouse.tables import bronze
from airflow_lakehouse.testing.reference import ReferenceLakehouse
from tests.faults.dying import run_and_die
from tests.faults.helpers import SPARK, commits, load_and_compare, observation, patient, to_bronze
from tests.spark.helpers import write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

pytestmark = SPARK


def _drop(profile: Profile, tmp_path: Path) -> Profile:
    """Return the profile with a drop that fills three tables."""
    raw = tmp_path / "drop"
    write_lines(raw / "fhir/dt=2026-01-15/1.ndjson", patient("p"), patient("q"), b'{"resourceType": "Patient"')
    write_lines(raw / "fhir/dt=2026-01-15/2.ndjson", observation("o"), observation("o2", hour=11))
    return profile.with_raw(str(raw))


@pytest.mark.parametrize(("point", "times", "row"), [("merged", 1, 2), ("counted", 1, 3)])
def test_a_killed_load_is_not_done_twice(warehouse: Profile, tmp_path: Path, point: str, times: int, row: int) -> None:
    """Rows 2 and 3: killed after a catalog commit, or with all in bronze and nothing noted, each table is filled once.

    The second start finds what is there: it adds rows only to the tables the first did not come to, and commits
    nothing to the others.
    """
    profile = _drop(warehouse, tmp_path)
    run_and_die("raw_to_bronze", profile, point, times)
    states = {entry["state"] for entry in read_rows(profile, "ops.ingested_files")}
    assert states == {"discovered"}, f"row {row}: the kill came before the ledger was written"
    before = {table: commits(profile, table) for table in _FILLED}
    assert any(before.values())

    load_and_compare(profile, ReferenceLakehouse())
    after = {table: commits(profile, table) for table in _FILLED}
    assert all(len(after[table]) == 1 for table in _FILLED), "a table was committed to by both starts"
    assert all(after[table] == before[table] for table in _FILLED if before[table])
    assert to_bronze(profile).status == "unchanged"


_FILLED = [f"bronze.{table.name}" for table in (bronze.PATIENT, bronze.OBSERVATION, bronze.QUARANTINE)]


def _kill_engine_of(state: Path) -> None:
    """Kill the Spark server of a state directory: its whole process group, as the kernel does when memory runs out."""
    pid = json.loads((state / "engine.json").read_text())["pid"]
    os.killpg(os.getpgid(pid), signal.SIGKILL)


def test_a_driver_killed_while_it_writes_leaves_only_orphans(warehouse: Profile, tmp_path: Path) -> None:
    """Row 1: Spark dies as the first data file appears; what it wrote belongs to no table, and is left for now."""
    raw, state = tmp_path / "drop", tmp_path / "engine"
    write_sample(raw, patients=400, documents=0, days=1)
    profile = warehouse.with_raw(str(raw))
    arguments = tmp_path / "arguments.json"
    arguments.write_text(json.dumps({"profile": profile.as_dict()}))
    command = [sys.executable, "-m", "airflow_lakehouse.spark.jobs", "raw_to_bronze", "--arguments", str(arguments)]
    own = {**os.environ, connect_server.STATE_VARIABLE: str(state), "LAKEHOUSE_ENGINE_MEMORY": "1g"}
    job = subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _data_files(profile) and job.poll() is None:
            time.sleep(0.002)
        _kill_engine_of(state)
    finally:
        job.kill()
        job.wait()
    orphans = _data_files(profile) - _referenced(profile)
    assert orphans, "the kill came too late: all that was written was committed"

    shutil.rmtree(state)
    load_and_compare(profile, ReferenceLakehouse())
    assert orphans <= _data_files(profile), "what a run may still be writing is deleted by age alone"
    assert not orphans & _referenced(profile)


def _data_files(profile: Profile) -> set[str]:
    return {path.as_posix() for path in profile.warehouse_dir.glob("bronze/**/data/**/*.parquet")}


def _referenced(profile: Profile) -> set[str]:
    catalog = load_pyiceberg(profile)
    tables = [get_table(catalog, ".".join(name)) for name in catalog.list_tables("bronze")]
    paths = [path for table in tables for path in table.inspect.all_files()["file_path"].to_pylist()]
    return {path.removeprefix("file:").replace("//", "/") for path in paths}
