"""Runs that are killed with SIGKILL, and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from airflow_lakehouse.cli.sample import write_sample
from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import LakehouseError
from airflow_lakehouse.spark.engine import connect_server
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.storage.catalog import get_table, load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import checkpoint, create_local_catalog
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


def _of_its_own(profile: Profile, tmp_path: Path, state: Path) -> tuple[list[str], dict[str, str]]:
    """Return command and environment of a load with an engine of its own, whose state is in a folder."""
    arguments = tmp_path / "arguments.json"
    arguments.write_text(json.dumps({"profile": profile.as_dict()}))
    command = [sys.executable, "-m", "airflow_lakehouse.spark.jobs", "raw_to_bronze", "--arguments", str(arguments)]
    return command, {**os.environ, connect_server.STATE_VARIABLE: str(state), "LAKEHOUSE_ENGINE_MEMORY": "1g"}


def test_a_driver_killed_while_it_writes_leaves_only_orphans(warehouse: Profile, tmp_path: Path) -> None:
    """Row 1: Spark dies as the first data file appears; what it wrote belongs to no table, and is left for now."""
    raw, state = tmp_path / "drop", tmp_path / "engine"
    write_sample(raw, patients=400, documents=0, days=1)
    profile = warehouse.with_raw(str(raw))
    command, own = _of_its_own(profile, tmp_path, state)
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


@pytest.mark.thorough
def test_a_disk_that_is_full(warehouse: Profile, tmp_path: Path) -> None:
    """Row 32: no file may grow beyond 256 KB (``ulimit -f``): the load fails, and with room does the rest."""
    raw, state = tmp_path / "drop", tmp_path / "engine"
    write_sample(raw, patients=400, documents=0, days=1)
    profile = warehouse.with_raw(str(raw))
    create_local_catalog(profile)
    # What is to fail is the load, not the making of twenty tables.
    ensure_tables(load_pyiceberg(profile))
    checkpoint(profile)
    command, own = _of_its_own(profile, tmp_path, state)
    limited = ["bash", "-c", f'ulimit -f {_DISK_KILOBYTES}; exec "$@"', "bash", *command]
    failed = subprocess.run(limited, env=own, capture_output=True, check=False, timeout=300)
    assert failed.returncode == 1, failed.stderr.decode()[-2000:]
    with mock.patch.dict(os.environ, own):
        connect_server.stop_server()
    load_and_compare(profile, ReferenceLakehouse())


_DISK_KILOBYTES = 256
_DYING_PARSER = """
import os, pathlib, signal
from airflow_lakehouse import Row, hookimpl
from airflow_lakehouse.tables import Column, Table, bronze

BEDS = Table(
    name="bronze_csv_beds",
    namespace="bronze",
    grain="one row per line of one file version",
    columns=(Column("ward", "string", "Ward", required=True), *bronze.PROVENANCE),
    key=bronze.RECORD_KEY,
)


class BedsParser:
    name, version, tables = "beds", "1", (BEDS,)

    def claims(self, file, head):
        return head.startswith(b"ward")

    def parse(self, file, stream):
        for number, line in enumerate(stream, 1):
            yield Row(BEDS.name, number, {"ward": line.decode().strip()})
        flag = pathlib.Path(__file__).with_name("die")
        if flag.exists():
            flag.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


@hookimpl
def lakehouse_parsers():
    return [BedsParser()]
"""


@pytest.mark.thorough
def test_a_worker_that_is_killed(warehouse: Profile, tmp_path: Path) -> None:
    """Row 32: the process that reads a file is killed, as for want of memory: the load fails, and the next does all."""
    plugin, raw = tmp_path / "beds.py", tmp_path / "drop"
    plugin.write_text(_DYING_PARSER)
    (tmp_path / "die").touch()
    write_lines(raw / "1.ndjson", patient("p"))
    (raw / "wards.txt").write_text("ward 1\nward 2\n")
    profile = replace(warehouse, raw=str(raw), parsers=(str(plugin),))
    with pytest.raises(LakehouseError):
        to_bronze(profile)
    assert not (tmp_path / "die").exists()
    assert to_bronze(profile).records == {"read": 3, "bronze": 3, "quarantine": 0}
    assert to_bronze(profile).status == "unchanged"
    assert sorted(row["ward"] for row in read_rows(profile, "bronze_csv_beds")) == ["ward 1", "ward 2"]
    assert [row["resource_id"] for row in read_rows(profile, "bronze_fhir_patient")] == ["p"]
