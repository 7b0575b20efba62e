"""Every kind of trouble has an outcome of its own, and its neighbours load."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.spark.storage.files import file_uri
from airflow_lakehouse.tables import bronze, silver
from tests.spark.awkward import write_corpus
from tests.spark.helpers import load

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark
EXPECTED = Path(__file__).parents[1] / "data" / "fhir" / "awkward_expected.json"


def _outcomes(profile: Profile) -> dict[str, list[list[Any]]]:
    """Return, for each file, what became of each record: position, entry, type or reason, id, flags."""
    found: dict[str, list[list[Any]]] = defaultdict(list)
    for table in (*bronze.FHIR_TABLES.values(), bronze.OTHER):
        for row in read_rows(profile, table.name):
            name = row["source_uri"].rpartition("/")[2]
            told = f"{row['resource_type']}{' deleted' if row['deleted'] else ''}"
            found[name].append([row["source_row"], row["source_entry"], told, row["resource_id"], *row["flags"]])
    for row in read_rows(profile, bronze.QUARANTINE.name):
        found[row["source_uri"].rpartition("/")[2]].append([row["position"], row["entry"], row["reason"]])
    return {name: sorted(rows, key=lambda row: row[:2]) for name, rows in sorted(found.items())}


def _with_no_record(folder: Path) -> list[str]:
    """Write a file that is whole and holds no record, and return its URI. A Bundle without entries is one itself."""
    folder.mkdir(parents=True)
    (folder / "array.json").write_text("[]")
    return [file_uri(path) for path in folder.iterdir()]


def test_every_trouble_has_its_outcome(warehouse: Profile, tmp_path: Path) -> None:
    """The outcome of each record is the one written down; every file has one, and silver holds what it can."""
    write_corpus(tmp_path / "drop" / "dt=2026-01-01")
    nothing = _with_no_record(tmp_path / "drop" / "dt=2026-01-02")
    result, conformed = load(warehouse, tmp_path / "drop")
    found = _outcomes(warehouse)
    assert found == json.loads(EXPECTED.read_text())
    assert set(found) == {path.name for path in (tmp_path / "drop" / "dt=2026-01-01").iterdir()}
    assert result.records["read"] == sum(map(len, found.values()))
    rows = {table.name: read_rows(warehouse, table.name) for table in silver.TABLES}
    assert {row["patient_id"] for row in rows["silver_dim_patient"]} >= {"w1", "w2", "123"}
    assert {row["patient_id"] for row in rows["silver_dim_patient"]} & {"x0", "x1", "x2", "x3"} == {"x1", "x2"}
    placed = rows["silver_fct_observation"] + rows["silver_observation_collisions"]
    assert {row["observation_id"] for row in placed} == {f"o{number}" for number in range(14)}
    times = {row["observation_id"]: (row["obs_time_text"], row["obs_time_precision"], row["flags"]) for row in placed}
    instants = {row["observation_id"]: row["obs_time"] and row["obs_time"].isoformat() for row in placed}
    assert instants["o1"] == "2026-01-02T00:00:00+00:00", "a leap second is the second after it"
    assert [instants[f"o{number}"] for number in (11, 12, 13)] == [
        "0001-01-01T22:00:00+00:00",
        None,
        "9999-12-31T15:00:00+00:00",
    ]
    assert times["o2"][:2] == ("9999-12-31", "day")
    assert times["o3"] == ("9999-12-31T23:59:59-14:00", None, ["BAD_TIME", "ORPHAN_PATIENT"])
    assert conformed.status == "complete"
    entries = {row["source_uri"]: row for row in read_rows(warehouse, "ingested_files")}
    assert {(entries[uri]["state"], entries[uri]["records"], entries[uri]["quarantined"]) for uri in nothing} == {
        ("loaded", 0, 0)
    }, "a file that is whole and holds no record is in the ledger, and nowhere else"
