"""The ledger lost and made anew from what a real load left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.cli import main
from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.tables import ops
from tests.spark.helpers import load, silver_content, write_lines

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark


def _ledger(profile: Profile) -> list[dict[str, Any]]:
    return sorted(read_rows(profile, "ops.ingested_files"), key=lambda row: (row["source_uri"], row["ingested_at"]))


def test_a_lost_ledger_is_made_anew(warehouse: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Dropped or emptied, it becomes row by row what it was; the next run loads nothing and silver stays."""
    day = tmp_path / "drop" / "dt=2026-01-01"
    write_lines(day / "a.ndjson", {"resourceType": "Patient", "id": "p1"}, b'{"resourceType"')
    (day / "notes.xyz").write_text("nobody reads this")
    load(warehouse, tmp_path / "drop", run_id="one")
    write_lines(day / "a.ndjson", {"resourceType": "Patient", "id": "p1", "gender": "male"})
    # Of a second type, and without a day: two tables of one batch, and nulls in what is derived.
    write_lines(tmp_path / "drop" / "b.ndjson", {"resourceType": "Encounter", "id": "e1", "status": "finished"})
    load(warehouse, tmp_path / "drop", run_id="two")
    before, silver = _ledger(warehouse), silver_content(warehouse, without=())
    assert [(row["state"], row["run_id"]) for row in before] == [
        ("loaded", "two"),
        ("loaded", "one"),
        ("loaded", "two"),
        ("quarantined", "one"),
    ]
    # The only thing nobody can know of a version that is gone.
    expected = [{**row, "size": None} if row["records"] == 2 else row for row in before]

    catalog = load_pyiceberg(warehouse)
    catalog.drop_table(ops.INGESTED_FILES.identifier)
    capsys.readouterr()
    assert main(["ledger", "rebuild", "--warehouse", warehouse.warehouse]) == 0
    assert capsys.readouterr().out == "files 4, loaded 3, quarantined 1\n"
    assert _ledger(warehouse) == expected
    catalog.load_table(ops.INGESTED_FILES.identifier).delete()
    assert _ledger(warehouse) == []
    assert main(["ledger", "rebuild", "--warehouse", warehouse.warehouse]) == 0
    assert _ledger(warehouse) == expected

    loaded, conformed = load(warehouse, tmp_path / "drop")
    assert (loaded.status, loaded.files["skipped"], conformed.status) == ("unchanged", 3, "unchanged")
    assert silver_content(warehouse, without=()) == silver
