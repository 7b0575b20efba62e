"""Over all runs, every row of bronze is in one class, and every winner and component is in silver or a collision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import ReconciliationError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.silver import observations
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.tables import silver
from tests.spark.helpers import load, write_lines

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark
OBSERVATION, PATIENT = silver.OBSERVATION.name, silver.PATIENT.name


def _observation(id_: str | None, version: int, **more: Any) -> dict[str, Any]:
    """Return an observation with two components; all of one version have one time, so that they collide."""
    return {
        "resourceType": "Observation",
        **({"id": id_} if id_ else {}),
        "meta": {"versionId": str(version)},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": f"2026-01-{version:02d}T00:00:00Z",
        "code": {"text": "pressure"},
        "component": [{"code": {"text": "systolic"}}, {"code": {"text": "diastolic"}}],
        **more,
    }


def _patient(id_: str, version: int) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "meta": {"versionId": str(version)}}


@pytest.mark.thorough
def test_totals_are_carried_from_run_to_run(warehouse: Profile, tmp_path: Path) -> None:
    """Versions, deletions, rows without id, collisions and a replaced file: the totals are those of one run at once."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", _observation("a", 2), _observation("b", 2), _observation(None, 1), _patient("p", 1))
    _, first = load(warehouse, drop)
    assert first.totals[OBSERVATION] == {"winner": 2, "excluded": 1, "component": 4}
    assert first.totals[PATIENT] == {"winner": 1}

    delete = {"resource": _patient("q", 1)}, {"request": {"method": "DELETE", "url": "Patient/p"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": list(delete)}
    write_lines(drop / "2.ndjson", _observation("a", 1), _observation("b", 3), _observation(None, 3), bundle)
    _, second = load(warehouse, drop)
    assert second.totals[OBSERVATION] == {"winner": 2, "superseded": 2, "excluded": 2, "component": 4}
    # The deletion says no time: it deletes what was there when it came.
    assert second.totals[PATIENT] == {"winner": 1, "superseded": 1, "excluded": 1}

    write_lines(drop / "1.ndjson", _observation("a", 2, component=[]), _patient("p", 2))
    _, third = load(warehouse, drop)
    assert third.totals[OBSERVATION] == {"winner": 2, "superseded": 1, "excluded": 1, "replaced": 3, "component": 2}
    write_lines(drop / "3.ndjson", _observation("a", 4))
    _, fourth = load(warehouse, drop)
    assert fourth.totals[OBSERVATION] == {"winner": 2, "superseded": 2, "excluded": 1, "replaced": 3, "component": 4}

    recorded = [row for row in read_rows(warehouse, "ops.reconciliation") if row["run_id"] == fourth.run_id]
    total = {(row["table_name"], row["class"]): row["rows"] for row in recorded if row["stage"] == "total"}
    assert total["bronze_fhir_observation", "stored"] == 8
    assert total[OBSERVATION, "stored"] == 6

    at_once = Profile(str(tmp_path / "at_once"))
    _, whole = load(at_once, drop)
    assert whole.totals[OBSERVATION] == {"winner": 2, "superseded": 2, "excluded": 1, "component": 4}


@pytest.mark.parametrize("table", [pytest.param(PATIENT, marks=pytest.mark.thorough), silver.COLLISIONS.name])
def test_a_row_that_left_silver_stops_the_next_run(warehouse: Profile, tmp_path: Path, table: str) -> None:
    """A row that vanished from silver between two runs stops the next one; a full run brings it back."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", _observation("a", 2), _observation("b", 2), _patient("p", 1))
    load(warehouse, drop)
    key = "patient_id == 'p'" if table == PATIENT else "observation_id == 'a'"
    load_pyiceberg(warehouse).load_table(f"silver.{table}").delete(key)
    write_lines(drop / "2.ndjson", _observation("c", 3), _patient("q", 1))
    with pytest.raises(ReconciliationError, match=r"over all runs.*made, .* stored.*--full"):
        load(warehouse, drop)
    _, again = load(warehouse, drop, full=True)
    assert again.totals[OBSERVATION] == {"winner": 3, "component": 6}
    ids = {row["observation_id"] for one in observations.TARGETS for row in read_rows(warehouse, one.name)}
    assert {"a", "b", "c"} < ids


def test_a_warehouse_of_an_earlier_version_goes_on(warehouse: Profile, tmp_path: Path) -> None:
    """Without columns, watermark sources and totals that came later: they are added, and a full run fills them."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", _observation("a", 2), _patient("p", 1))
    load(warehouse, drop)
    table = load_pyiceberg(warehouse).load_table(f"silver.{OBSERVATION}")
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("codings")
        update.delete_column("subject")
    write_lines(drop / "2.ndjson", _observation("b", 3))
    _, upgraded = load(warehouse, drop)
    assert upgraded.totals[OBSERVATION] == {"winner": 2, "component": 4}
    kinds = {row["observation_id"]: (row["subject"] or {}).get("kind") for row in read_rows(warehouse, OBSERVATION)}
    assert (kinds["a"], kinds["b"]) == (None, "relative")
    load(warehouse, drop, full=True)
    assert {row["subject"]["kind"] for row in read_rows(warehouse, OBSERVATION)} == {"relative"}
