"""Rejects: a limit on their share, a look at them, and trying them again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli import main
from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import BadRatioError
from airflow_lakehouse.spark.jobs import JobArguments, JobResult, run_job
from tests.spark.helpers import load, snapshots, write_lines

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark
PLUGINS = Path(__file__).parents[2] / "plugins"
SECRET = b'{"resourceType":"Patient","id":"p9","name":"Jane Doe"'


def _replay(profile: Profile, **arguments: Any) -> JobResult:
    return run_job("replay_quarantine", JobArguments(profile, **arguments))


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """A drop with a file nobody reads yet, and FHIR lines of which one is cut off."""
    root = tmp_path / "drop" / "dt=2026-01-01"
    patients = [{"resourceType": "Patient", "id": f"p{number}"} for number in range(3)]
    write_lines(root / "p.ndjson", *patients, SECRET)
    (root / "register.txt").write_text(
        "patient_id,vaccine,given_on,dose_ml\np1,08,2026-01-01,0.500\n,08,2026-01-01,1\n"
    )
    return root.parent


def test_a_parser_that_comes_later_loads_what_was_rejected(warehouse: Profile, drop: Path) -> None:
    """What a new parser reads leaves quarantine for its table, what it rejects gets its reason; once, however often."""
    load(warehouse, drop)
    before = {row["reason"] for row in read_rows(warehouse, "bronze_quarantine")}
    assert before == {"UNKNOWN_FORMAT", "TRUNCATED_JSON"}
    assert _replay(warehouse).status == "unchanged"

    armed = replace(warehouse, parsers=(str(PLUGINS / "lakehouse_csv_parser/lakehouse_csv_parser/__init__.py"),))
    result = _replay(armed, reason="UNKNOWN_FORMAT")
    assert result.records == {"tried": 1, "bronze": 1, "quarantine": 1}
    assert {row["reason"] for row in read_rows(warehouse, "bronze_quarantine")} == {"MISSING_KEY", "TRUNCATED_JSON"}
    (row,) = read_rows(warehouse, "bronze_csv_immunisation")
    (first,) = {row["ingested_at"] for row in read_rows(warehouse, "bronze_fhir_patient")}
    assert row["ingested_at"] == first, "it was dropped when its neighbours were, and is as old as they are"

    at = snapshots(warehouse)
    assert _replay(armed).status == "unchanged"
    assert snapshots(warehouse) == at


def test_a_file_that_is_gone_keeps_its_rejects(warehouse: Profile, drop: Path) -> None:
    """Nothing is lost by replaying without the file: it is counted as gone, its rejects stay as they are."""
    load(warehouse, drop)
    held = read_rows(warehouse, "bronze_quarantine")
    (drop / "dt=2026-01-01" / "p.ndjson").unlink()
    (drop / "dt=2026-01-01" / "register.txt").write_text("another version")
    assert _replay(warehouse).files == {"found": 2, "loaded": 0, "gone": 2}
    assert read_rows(warehouse, "bronze_quarantine") == held


def test_too_many_rejects_fail_the_run_after_all_is_written(warehouse: Profile, drop: Path) -> None:
    """The limit fails the first run and a retry of it alike; raised, the same files pass, and nothing is doubled."""
    for _ in range(2):
        with pytest.raises(BadRatioError, match=r"2 of 5 records were rejected") as raised:
            load(warehouse, drop, max_bad_ratio="0.3")
        assert "TRUNCATED_JSON 1" in str(raised.value)
        assert "Doe" not in str(raised.value)
        assert len(read_rows(warehouse, "bronze_fhir_patient")) == 3
        assert len(read_rows(warehouse, "bronze_quarantine")) == 2
    bronze, silver = load(warehouse, drop, max_bad_ratio=0.4)
    assert bronze.records == {"read": 5, "bronze": 3, "quarantine": 2}
    assert silver.tables["silver_dim_patient"]["rows"] == 3
    assert len(read_rows(warehouse, "bronze_fhir_patient")) == 3


def test_a_look_at_quarantine_shows_no_text(warehouse: Profile, drop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reasons, counts and places are printed; the rejected bytes only for who asks for them."""
    load(warehouse, drop)
    arguments = ["quarantine", "--warehouse", warehouse.warehouse]
    capsys.readouterr()
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "TRUNCATED_JSON" in told
    assert "p.ndjson" in told
    assert "Doe" not in told
    assert main([*arguments, "--reason", "TRUNCATED_JSON", "--show-text", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["text"] for one in shown["examples"]] == [SECRET.decode()]
    assert shown["reasons"] == [{"reason": "TRUNCATED_JSON", "parser": "fhir", "records": 1, "files": 1}]
