"""Fields no schema names: counted once, never in the way of a load, and never quoted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.spark.catalog import load_pyiceberg
from airflow_lakehouse.spark.jobs import JobArguments, run_job
from airflow_lakehouse.tables import bronze, ops
from tests.spark.helpers import load, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark
MOTHER = "http://x.org/mothersName"


def _patient(id_: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, **more}


def _counted(profile: Profile) -> dict[tuple[str, str], tuple[str, int]]:
    rows = read_rows(profile, ops.UNKNOWN_FIELDS.identifier)
    return {(row["source_system"], row["path"]): (row["example_type"], row["occurrences"]) for row in rows}


def test_unknown_fields_are_counted_over_all_loads(warehouse: Profile, tmp_path: Path) -> None:
    """Each path is counted in the records it is in, by source; loads add up, and first_seen stays."""
    drop = tmp_path / "drop"
    extension = [{"url": MOTHER, "valueString": "Ann"}, {"url": "http://x.org/other?v=1", "valueCode": "a"}]
    write_lines(
        drop / "1.ndjson",
        _patient("a", nickname="Al", extension=extension),
        _patient("b", nickname=5, name=[{"family": "B", "nick": True}]),
        _patient("c", photo=[{"url": "http://x.org/photo.png", "title": "t"}]),
        {"resourceType": "Encounter", "id": "e", "class": [{"coding": [{"code": "AMB"}]}]},
        b'{"resourceType":"Patient","id":"d","Jane Doe 1970":"x"}',
    )
    load(warehouse, drop)
    first = {
        ("default", "Patient.nickname"): ("number", 2),
        ("default", "Patient.name.nick"): ("boolean", 1),
        ("default", f"Patient.extension('{MOTHER}')"): ("object", 1),
        ("default", "Patient.extension('http://x.org/other')"): ("object", 1),
        ("default", "Patient.<name>"): ("string", 1),
        ("default", "Encounter.class"): ("array", 1),
    }
    found = _counted(warehouse)
    assert found.pop(("default", "Patient.nickname"))[1] == first.pop(("default", "Patient.nickname"))[1]
    assert found == first
    seen = {row["path"]: row["first_seen"] for row in read_rows(warehouse, ops.UNKNOWN_FIELDS.identifier)}

    write_lines(drop / "source=north/2.ndjson", _patient("a", nickname="Al"))
    write_lines(drop / "3.ndjson", _patient("f", nickname="Al"))
    load(warehouse, drop)
    assert _counted(warehouse)["default", "Patient.nickname"][1] == 3
    assert _counted(warehouse)["north", "Patient.nickname"] == ("string", 1)
    again = {
        row["path"]: row["first_seen"]
        for row in read_rows(warehouse, ops.UNKNOWN_FIELDS.identifier)
        if row["source_system"] == "default"
    }
    assert again == seen


def test_a_load_that_is_done_again_counts_nothing_twice(warehouse: Profile, tmp_path: Path) -> None:
    """A run that was killed after it had counted, before its files were noted as loaded, is counted once."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", _patient("a", nickname="Al"))
    load(warehouse, drop)
    load_pyiceberg(warehouse).load_table(ops.INGESTED_FILES.identifier).delete("state == 'loaded'")
    run_job("raw_to_bronze", JobArguments(warehouse.with_raw(str(drop))))
    assert _counted(warehouse) == {("default", "Patient.nickname"): ("string", 1)}


def test_keys_that_are_doubled_or_spelled_otherwise(warehouse: Profile, tmp_path: Path) -> None:
    """A key that is there twice at the root is flagged; one in other letters is another key, and unknown."""
    write_lines(
        tmp_path / "drop/1.ndjson",
        b'{"resourceType":"Patient","id":"k1","gender":"male","gender":"female"}',
        b'{"resourceType":"Patient","id":"k2","name":[{"family":"A","family":"B"}]}',
        b'{"resourceType":"Patient","id":"k3","Gender":"male","gender":"female","ID":"other"}',
        b'{"resourceType":"Observation","id":"k4","valueQuantity":{"value":1e400}}',
    )
    load(warehouse, tmp_path / "drop")
    rows = read_rows(warehouse, bronze.PATIENT.name) + read_rows(warehouse, bronze.OBSERVATION.name)
    flags = {row["resource_id"]: row["flags"] for row in rows}
    assert flags == {"k1": ["DUPLICATE_KEY"], "k2": [], "k3": [], "k4": []}
    silver = {row["patient_id"]: (row["gender"], row["family"]) for row in read_rows(warehouse, "silver_dim_patient")}
    assert silver == {"k1": ("female", None), "k2": (None, "B"), "k3": ("female", None)}
    assert set(_counted(warehouse)) == {("default", "Patient.Gender"), ("default", "Patient.ID")}


def test_a_modifier_in_a_part_holds_the_row_back(warehouse: Profile, tmp_path: Path) -> None:
    """A modifierExtension below the root counts as one at the root; its name in a text does not."""
    modifier = [{"url": "http://x.org/not", "valueBoolean": True}]
    write_lines(
        tmp_path / "drop/1.ndjson",
        _patient("m1", contact=[{"modifierExtension": modifier}]),
        _patient("m2", contact=[{"modifierExtension": []}]),
        _patient("m3", name=[{"family": "modifierExtension: OBJECT"}]),
    )
    load(warehouse, tmp_path / "drop")
    flags = {row["resource_id"]: row["flags"] for row in read_rows(warehouse, bronze.PATIENT.name)}
    assert flags == {"m1": ["UNKNOWN_MODIFIER"], "m2": [], "m3": []}
    assert {row["patient_id"] for row in read_rows(warehouse, "silver_dim_patient")} == {"m2", "m3"}
