"""Runs that can be read again, and gone back to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli import main
from airflow_lakehouse.cli.runs import list_runs
from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import DownstreamAheadError, SnapshotNotFoundError
from airflow_lakehouse.spark.bronze.ledger_rows import DISCOVERED
from airflow_lakehouse.spark.jobs import JobArguments, run_job
from airflow_lakehouse.spark.maintenance.plan import COMPACT, EXPIRE
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.rollback import roll_back
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg, table_identifiers
from airflow_lakehouse.tables import bronze, silver
from tests.spark.helpers import load, silver_content, write_lines

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark
PLUGIN = Path(__file__).parents[2] / "plugins" / "lakehouse_csv_parser" / "lakehouse_csv_parser" / "__init__.py"


def _patient(number: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{number}", **more}


def _condition(number: int) -> dict[str, Any]:
    subject = {"reference": f"Patient/p{number}"}
    return {"resourceType": "Condition", "id": f"c{number}", "subject": subject, "code": {"text": "cold"}}


@pytest.fixture
def two_runs(warehouse: Profile, tmp_path: Path) -> Path:
    """A drop that was loaded twice: by run two its first file lost an encounter, and a second file has come."""
    drop = tmp_path / "drop"
    encounter = {"resourceType": "Encounter", "id": "e1", "status": "finished"}
    first = drop / "dt=2026-01-01" / "a.ndjson"
    write_lines(first, _patient(1), _patient(2, gender="male"), encounter, b'{"resourceType"')
    load(warehouse, drop, run_id="one")
    write_lines(first, _patient(1, gender="other"))
    write_lines(drop / "dt=2026-01-02" / "b.ndjson", _patient(2, gender="female"), _patient(3), _condition(2))
    load(warehouse, drop, run_id="two")
    return drop


def _held(profile: Profile, *tables: str, as_of: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return all that tables hold, provenance included, in an order of its own."""
    rows = {table: read_rows(profile, table, as_of=as_of) for table in tables}
    return {table: sorted(found, key=lambda row: json.dumps(row, default=str)) for table, found in rows.items()}


def _everything(profile: Profile) -> dict[str, Any]:
    ledger = [{**row, "run_id": None} for row in _held(profile, "ops.ingested_files")["ops.ingested_files"]]
    names = [table.identifier for table in bronze.TABLES]
    return {**_held(profile, *names), **silver_content(profile, without=()), "ledger": ledger}


def _refs(profile: Profile) -> dict[str, dict[str, int]]:
    catalog = load_pyiceberg(profile)
    return {
        name: {tag: ref.snapshot_id for tag, ref in catalog.load_table(name).refs().items()}
        for name in table_identifiers(catalog)
    }


def _genders(profile: Profile, as_of: str | None = None) -> dict[str, str | None]:
    return {row["patient_id"]: row["gender"] for row in read_rows(profile, "silver_dim_patient", as_of=as_of)}


def test_a_run_can_be_read_again(warehouse: Profile, two_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every table is read as a run left it; a run that changes nothing tags nothing; what there is, is listed."""
    assert _genders(warehouse, "one") == {"p1": None, "p2": "male"}
    assert _genders(warehouse, "two") == _genders(warehouse) == {"p1": "other", "p2": "female", "p3": None}
    assert len(read_rows(warehouse, "bronze_fhir_condition", as_of="one")) == 0
    assert len(read_rows(warehouse, "ops.ingested_files", as_of="one")) == 1
    assert [len(read_rows(warehouse, "silver_fct_encounter", as_of=run)) for run in ("one", "two")] == [1, 0]

    before = _refs(warehouse)
    load(warehouse, two_runs, run_id="three")
    assert _refs(warehouse) == before
    runs = list_runs(warehouse)
    assert [(one["name"], one["kind"], one["keep"], one["rolled_back"]) for one in runs] == [
        ("two", "run", False, False),
        ("one", "run", False, False),
    ]

    at = ["--warehouse", warehouse.warehouse, "--json"]
    capsys.readouterr()
    assert main(["tables", *at, "--as-of", "one"]) == 0
    rows = {one["name"]: one["rows"] for one in json.loads(capsys.readouterr().out)}
    assert (rows["silver_dim_patient"], rows["silver_fct_condition"], rows["bronze_quarantine"]) == (2, 0, 1)
    assert main(["show", "silver_fct_condition", *at, "--as-of", runs[0]["time"]]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert main(["show", "silver_fct_condition", *at, "--as-of", "three"]) == 2
    assert "two, one" in capsys.readouterr().err
    assert main(["runs", *at, "--keep", "one"]) == 0
    assert [one["keep"] for one in json.loads(capsys.readouterr().out)] == [False, True]


def test_what_is_rolled_back_is_loaded_again_once(
    warehouse: Profile, two_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Back at run one, all is as it left it; the next run loads the files again, row by row what it was before."""
    then, before = _genders(warehouse, "one"), _everything(warehouse)
    back = ["rollback", "--warehouse", warehouse.warehouse, "--json", "--to", "one"]
    assert main(back) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == 2
    assert told["tables"]["bronze.bronze_fhir_condition"]["snapshot_id"] is None
    assert _genders(warehouse) == then
    assert read_rows(warehouse, "silver_fct_condition") == read_rows(warehouse, "bronze_fhir_condition") == []
    ledger = sorted((row["source_uri"][-8:], row["state"]) for row in read_rows(warehouse, "ops.ingested_files"))
    assert ledger == [("a.ndjson", DISCOVERED), ("a.ndjson", "loaded"), ("b.ndjson", DISCOVERED)]
    assert len(read_rows(warehouse, "silver_fct_encounter")) == 1
    assert [(one["name"], one["rolled_back"]) for one in list_runs(warehouse)] == [("two", True), ("one", False)]
    assert _genders(warehouse, "two")["p2"] == "female", "the snapshots stay"
    assert main(back) == 0
    assert json.loads(capsys.readouterr().out)["tables"] == {}, "a second time there is nothing to do"

    loaded, conformed = load(warehouse, two_runs, run_id="three")
    assert (loaded.files["loaded"], loaded.files["skipped"], conformed.reconciled) == (2, 0, True)
    assert _everything(warehouse) == before
    assert load(warehouse, two_runs)[1].status == "unchanged"


@pytest.mark.thorough
def test_maintenance_leaves_every_run_to_go_back_to(warehouse: Profile, two_runs: Path) -> None:
    """Compacted and expired as hard as can be, both runs are read, gone back to, and loaded forward from, as before."""
    before = _everything(warehouse)
    names = [table.identifier for table in (*bronze.TABLES, *silver.TABLES)]
    runs = {run: _held(warehouse, *names, as_of=run) for run in ("one", "two")}
    tags = list_runs(warehouse)
    strict = MaintenancePolicy(min_input_files=2, snapshot_days=0, keep_snapshots=1, min_expired=1)
    done = {step["action"] for step in run_job("maintain", JobArguments(warehouse, policy=strict)).steps}
    assert done >= {COMPACT, EXPIRE}
    assert list_runs(warehouse) == tags, "maintenance changes no row, and tags nothing"
    assert {run: _held(warehouse, *names, as_of=run) for run in runs} == runs
    roll_back(warehouse, "one")
    assert _held(warehouse, *names) == runs["one"]
    load(warehouse, two_runs, run_id="three")
    assert _everything(warehouse) == before


def test_a_rollback_can_be_undone(warehouse: Profile, two_runs: Path) -> None:
    """Forward again, every table and the ledger are what they were, and no file is loaded a second time."""
    before, ledger = _everything(warehouse), _held(warehouse, "ops.ingested_files")
    roll_back(warehouse, "one")
    assert roll_back(warehouse, "two")["files"] == 0
    assert _everything(warehouse) == before
    assert _held(warehouse, "ops.ingested_files") == ledger
    assert [result.status for result in load(warehouse, two_runs)] == ["unchanged", "unchanged"]


def test_a_table_that_others_were_made_from_is_not_set_back_alone(warehouse: Profile, two_runs: Path) -> None:
    """Refused, nothing changes; told to rebuild, what is ahead goes along, and the next run brings all back."""
    before, refs = _everything(warehouse), _refs(warehouse)
    with pytest.raises(DownstreamAheadError, match=r"bronze_fhir_condition.*silver_dim_patient.*--rebuild"):
        roll_back(warehouse, "one", ["bronze_fhir_patient"])
    assert _refs(warehouse) == refs
    moved = roll_back(warehouse, "one", ["bronze_fhir_patient"], rebuild=True)["tables"]
    # The encounters too: no bronze table of theirs moves, but the file that had replaced them is rolled away.
    along = {"bronze.bronze_fhir_condition", "silver.silver_dim_patient", "silver.silver_fct_encounter"}
    assert {"bronze.bronze_fhir_patient", *along} <= set(moved)
    assert _genders(warehouse) == _genders(warehouse, "one")
    load(warehouse, two_runs)
    assert _everything(warehouse) == before
    # Silver alone is behind what it reads, not ahead of it: the next run brings it back.
    roll_back(warehouse, "one", ["silver_dim_patient"])
    assert _genders(warehouse)["p2"] == "male"
    load(warehouse, two_runs)
    assert _everything(warehouse) == before


def test_a_replay_is_rolled_back_with_its_rejects(warehouse: Profile, tmp_path: Path) -> None:
    """What a mended parser had loaded is a reject again, no load takes it, and a replay gives the same rows."""
    drop = tmp_path / "drop"
    (drop / "dt=2026-01-01").mkdir(parents=True)
    text = "patient_id,vaccine,given_on,dose_ml\np1,08,2026-01-01,0.500\n"
    (drop / "dt=2026-01-01" / "register.txt").write_text(text)
    run_job("raw_to_bronze", JobArguments(warehouse.with_raw(str(drop)), run_id="one"))
    armed = replace(warehouse, parsers=(str(PLUGIN),))
    run_job("replay_quarantine", JobArguments(armed, run_id="two"))
    rows = read_rows(warehouse, "bronze_csv_immunisation")
    assert (len(rows), read_rows(warehouse, "bronze_quarantine")) == (1, [])
    roll_back(warehouse, "one")
    assert [row["reason"] for row in read_rows(warehouse, "bronze_quarantine")] == ["UNKNOWN_FORMAT"]
    assert read_rows(warehouse, "bronze_csv_immunisation") == []
    assert run_job("raw_to_bronze", JobArguments(warehouse.with_raw(str(drop)))).status == "unchanged"
    run_job("replay_quarantine", JobArguments(armed))
    assert read_rows(warehouse, "bronze_csv_immunisation") == rows
    assert read_rows(warehouse, "bronze_quarantine") == []


def test_silver_is_made_as_of_a_run(warehouse: Profile, two_runs: Path) -> None:
    """The job reads bronze as it was, replaced files included; the next run without it brings silver forward again."""
    before = silver_content(warehouse, without=())
    names = [table.identifier for table in silver.TABLES]
    then = _held(warehouse, *names, as_of="one")
    run_job("bronze_to_silver", JobArguments(warehouse, as_of="one"))
    assert _held(warehouse, *names) == then
    assert run_job("bronze_to_silver", JobArguments(warehouse, as_of="one")).status == "unchanged"
    load(warehouse, two_runs)
    assert silver_content(warehouse, without=()) == before
    with pytest.raises(SnapshotNotFoundError, match="two"):
        run_job("bronze_to_silver", JobArguments(warehouse, as_of="never"))
