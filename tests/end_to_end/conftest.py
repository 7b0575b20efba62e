"""A drop small enough to run the whole pipeline on it more than once, and a private Airflow to run it in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.airflow_home import DAG_ID, AirflowHome, stop_jobs
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from tests.end_to_end.airflow_up import Up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1943-07-21", "name": [{"family": "Ravenscroft"}]}
ENCOUNTER = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "finished",
    "class": {"code": "AMB"},
    "subject": {"reference": "Patient/p1"},
    "period": {"start": "2026-01-15T08:00:00Z", "end": "2026-01-15T09:30:00Z"},
}


def _write_drop(raw: Path) -> None:
    first, second = raw / "fhir" / "dt=2026-01-15", raw / "fhir" / "source=north" / "dt=2026-01-16"
    letters = raw / "docs" / "dt=2026-01-15"
    for folder in (first, second, letters):
        folder.mkdir(parents=True)
    (first / "Patient.ndjson").write_text(json.dumps(PATIENT) + '\n{"resourceType": "Patient", "id": \n')
    (first / "Encounter.ndjson").write_text(json.dumps(ENCOUNTER) + "\n")
    (second / "Patient.ndjson").write_text(json.dumps({**PATIENT, "id": "p2"}) + "\n")
    from reportlab.pdfgen.canvas import Canvas

    letter = Canvas(str(letters / "letter.pdf"), invariant=1)
    letter.drawString(72, 720, "The wound has healed and the patient may return to work on Monday.")
    letter.save()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Start ``lakehouse up`` on a small drop; stop it at the end."""
    _write_drop(tmp_path / "raw")
    up = Up(tmp_path)
    yield up
    up.stop()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    """Return a private Airflow with the drop; its database is made once a session."""
    home = AirflowHome(tmp_path_factory.mktemp("home"))
    _write_drop(home.root / "raw")
    home.prepare()
    yield home
    stop_jobs(home.jobs)


@pytest.fixture(scope="session")
def run_dag(home: AirflowHome) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that runs the example DAG as ``lakehouse demo`` does, and gives what was told of it."""

    def run() -> list[dict[str, Any]]:
        read, write = os.pipe()
        with (home.logs / "dag.log").open("ab") as log, os.fdopen(read) as events:
            command = [sys.executable, "-m", "airflow_lakehouse.cli.dag_run", DAG_ID, str(write)]
            process = subprocess.Popen(command, env=home.environ(), stdout=log, stderr=log, pass_fds=(write,))
            os.close(write)
            told = [json.loads(line) for line in events]
            process.wait()
        return told

    return run


@pytest.fixture(scope="session")
def snapshots(home: AirflowHome) -> Callable[[], dict[str, tuple[int | None, int]]]:
    """Return a function that gives the current snapshot and the rows of every table."""

    def look() -> dict[str, tuple[int | None, int]]:
        catalog = load_pyiceberg(home.profile)
        found = {}
        for space in ("bronze", "silver", "gold"):
            for name in catalog.list_tables(space):
                table = catalog.load_table(name)
                snapshot = table.current_snapshot()
                found[name[1]] = (snapshot.snapshot_id if snapshot else None, table.scan().count() if snapshot else 0)
        return found

    return look
