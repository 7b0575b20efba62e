"""Fields no schema names: counted once, never in the way of a load, and never quoted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.parsers.fhir.drift import read_shape
from airflow_lakehouse.spark.bronze import outlines
from airflow_lakehouse.spark.jobs import JobArguments, run_job
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.tables import bronze, ops
from tests.spark.helpers import load, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

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


def _rescued(profile: Profile, table: str = bronze.PATIENT.name) -> dict[str, Any]:
    return {row["resource_id"]: row["_rescued"] and json.loads(row["_rescued"]) for row in read_rows(profile, table)}


def test_what_no_schema_names_is_set_apart(warehouse: Profile, tmp_path: Path) -> None:
    """Unknown fields, fields of another kind and extensions stand in ``_rescued`` as they were sent, with their places.

    So does what is in a record with a key twice; records in which all is known have null there.
    """
    mother = {"url": MOTHER, "valueString": "Ann"}
    write_lines(
        tmp_path / "drop/1.ndjson",
        b'{"resourceType":"Patient","id":"a","nickname":12345678901234567890.120,"name":[{"family":"A"},{"nick":{}}]}',
        _patient("b", birthDate="1970-01-01"),
        _patient("c", birthDate=1970, extension=[mother]),
        b'{"resourceType":"Patient","id":"d","name":[{"family":"A","family":"B"}],"x":1}',
        {"resourceType": "Encounter", "id": "e", "class": [{"code": "AMB"}]},
        {"resourceType": "Novelty", "id": "f", "x": 1},
        _patient("x") | {"resourceType": "Condition"},
    )
    load(warehouse, tmp_path / "drop")
    assert _rescued(warehouse) == {
        "a": {"Patient.nickname": 12345678901234567890.120, "Patient.name[1].nick": {}},
        "b": None,
        "c": {"Patient.birthDate": 1970, "Patient.extension[0]": mother},
        "d": {"Patient.x": 1},
    }
    (text,) = (row["_rescued"] for row in read_rows(warehouse, bronze.PATIENT.name) if row["resource_id"] == "a")
    assert '"Patient.nickname": 12345678901234567890.120' in text
    assert _rescued(warehouse, bronze.ENCOUNTER.name) == {"e": {"Encounter.class": [{"code": "AMB"}]}}
    assert _rescued(warehouse, bronze.OTHER.name) == {"f": None}
    assert _rescued(warehouse, bronze.CONDITION.name) == {"x": None}
    assert ("default", "Patient.x") in _counted(warehouse)


def test_a_modifier_in_a_part_holds_the_row_back(warehouse: Profile, tmp_path: Path) -> None:
    """A modifierExtension below the root counts as one at the root; its name in a text does not."""
    modifier = [{"url": "http://x.org/not", "valueBoolean": True}]
    write_lines(
        tmp_path / "drop/1.ndjson",
        _patient("m1", contact=[{"modifierExtension": modifier}]),
        _patient("m2", contact=[{"modifierExtension": []}]),
        _patient("m3", name=[{"family": "modifierExtension: OBJECT"}]),
        b'{"resourceType":"Patient","id":"m4","contact":[{"modifierExtension":[{"url":"x"}],"gender":"a","gender":"b"}]}',
        b'{"resourceType":"Patient","id":"m5","contact":[{"modifier\\u0045xtension":[{"url":"x"}]}]}',
    )
    load(warehouse, tmp_path / "drop")
    flags = {row["resource_id"]: row["flags"] for row in read_rows(warehouse, bronze.PATIENT.name)}
    held = ["UNKNOWN_MODIFIER"]
    assert flags == {"m1": held, "m2": [], "m3": [], "m4": held, "m5": held}
    assert {row["patient_id"] for row in read_rows(warehouse, "silver_dim_patient")} == {"m2", "m3"}


_TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from('":,{}[]\\0-'), max_size=6)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(_TEXT, _VALUES, max_size=4), min_size=40, max_size=40), st.sampled_from([None, 1]))
def test_an_outline_has_the_shape_of_its_record(
    lakehouse_spark: SparkSession, records: list[dict[str, Any]], indent: int | None
) -> None:
    """Whatever a record says and however it is laid out, without its values it has the same keys and kinds."""
    from pyspark.sql import functions as F

    rows = [(json.dumps(one, indent=indent, ensure_ascii=indent is None),) for one in records]
    shape = F.schema_of_variant(F.try_parse_json("body")).alias("shape")
    told = lakehouse_spark.createDataFrame(rows, "body STRING").select(shape, outlines.outline())
    found = told.select("shape", F.schema_of_variant(outlines.drawn("outline")).alias("drawn")).collect()
    assert len(found) == len(rows)
    for row in found:
        assert read_shape(row["drawn"]) == read_shape(row["shape"])
