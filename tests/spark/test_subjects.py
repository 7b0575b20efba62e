"""One id that stands for two patients is seen, whatever the order in which they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.spark.transforms.subjects import ID_REUSED
from airflow_lakehouse.tables import silver
from tests.spark.helpers import load, silver_content, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark


def _versioned(type_: str, id_: str, version: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": type_, "id": id_, "meta": {"versionId": str(version)}, **more}


def _patient(id_: str, version: int, birth: str, family: str) -> dict[str, Any]:
    return _versioned("Patient", id_, version, birthDate=birth, name=[{"family": family}])


def _about(type_: str, id_: str, version: int, subject: str) -> dict[str, Any]:
    return _versioned(type_, id_, version, subject={"reference": subject})


EARLY = (
    _patient("two", 1, "1950-01-01", "Alder"),
    _patient("married", 1, "1970-01-01", "Birch"),
    _patient("same", 1, "1980-01-01", "Cedar"),
    _about("Encounter", "moved", 1, "Patient/two"),
    _about("Encounter", "spelled", 1, "https://x.org/fhir/Patient/two"),
    _about("Condition", "moved", 1, "Patient/two"),
    _about("Observation", "moved", 1, "Patient/two"),
    _about("Observation", "nobody", 1, "Group/g"),
)
LATE = (
    _patient("two", 2, "2001-02-03", "Dogwood"),
    _patient("married", 2, "1970-01-01", "Elm"),
    _patient("same", 2, "1980-01-01", "Cedar"),
    _about("Encounter", "moved", 2, "Patient/same"),
    _about("Encounter", "spelled", 2, "Patient/two"),
    _about("Condition", "moved", 2, "Patient/same"),
    _about("Observation", "moved", 2, "Patient/same"),
    _about("Observation", "nobody", 2, "Patient/same"),
)


def _flagged(profile: Profile) -> set[tuple[str, str]]:
    tables = {table: table.key[-1] for table in (silver.PATIENT, silver.ENCOUNTER, silver.CONDITION)}
    tables[silver.COLLISIONS] = "observation_id"
    return {
        (table.name, row[id_])
        for table, id_ in tables.items()
        for row in read_rows(profile, table.name)
        if ID_REUSED in row["flags"]
    }


@pytest.mark.parametrize("runs", [(EARLY, LATE), (LATE, EARLY), (EARLY + LATE,)], ids=["in order", "late", "at once"])
def test_an_id_of_two_patients_is_flagged(
    warehouse: Profile, tmp_path: Path, runs: tuple[tuple[dict[str, Any], ...], ...]
) -> None:
    """The newest version is taken and flagged; a corrected name, or a reference in another form, is no other person."""
    for number, resources in enumerate(runs):
        write_lines(tmp_path / f"drop/{number}.ndjson", *resources)
        load(warehouse, tmp_path / "drop")
    names = (silver.ENCOUNTER, silver.CONDITION, silver.COLLISIONS)
    assert _flagged(warehouse) == {(silver.PATIENT.name, "two"), *((table.name, "moved") for table in names)}
    families = {row["patient_id"]: row["family"] for row in read_rows(warehouse, silver.PATIENT.name)}
    assert families == {"two": "Dogwood", "married": "Elm", "same": "Cedar"}
    assert sum(map(len, silver_content(warehouse).values())) == 3 + 2 + 1 + 2
