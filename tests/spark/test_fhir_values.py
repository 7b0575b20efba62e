"""FHIR values from source text to silver, through Spark."""

# ruff: noqa: E501 - records are lines
from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from tests.spark.helpers import load

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark

_LINES = """
{"resourceType":"Observation","id":"big","subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-01-01T00:00:00+02:00","code":{"coding":[{"code":"1"}]},"valueQuantity":{"value":12345678901234567890.12,"comparator":"<"}}
{"resourceType":"Observation","id":"zeros","subject":{"reference":"https://x/Patient/p/_history/2"},"effectiveDateTime":"2026-01-02","code":{"coding":[{"code":"1"}]},"valueQuantity":{"value": 6.30 }}
{"resourceType":"Observation","id":"tiny","subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-01-03T00:00:00Z","code":{"coding":[{"code":"1"}]},"valueQuantity":{"value":1.5e-7}}
{"resourceType":"Observation","id":"text","subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-01-04T00:00:00Z","code":{"text":"x \\"value\\": 5, y"},"valueString":"\\"value\\":5"}
{"resourceType":"Observation","id":"false","subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-01-05T00:00:00Z","code":{"coding":[{"code":"1"}]},"valueBoolean":false}
{"resourceType":"Observation","id":"year","subject":{"reference":"Patient/p"},"effectiveDateTime":"2026","code":{"coding":[{"code":"1"}]},"valueInteger":0}
{"resourceType":"Observation","id":"never","subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-02-31T00:00:00Z","code":{"coding":[{"code":"1"}]}}
{"resourceType":"Observation","id":"parts","subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-01-06T00:00:00Z","code":{"coding":[{"code":"bp"}]},"component":[{"code":{"coding":[{"code":"sys"}]},"valueQuantity":{"value":120}},{"code":{"coding":[{"code":"dia"}]},"valueQuantity":{"value":80.0}}]}
{"resourceType":"Observation","id":"wrong","subject":"Patient/p","effectiveDateTime":"2026-01-07T00:00:00Z","code":{"coding":[{"system":"x","code":"a"},{"system":"http://loinc.org","code":"b"}]},"valueString":"kept"}
{"resourceType":"Patient","id":"p","birthDate":"1970-06","deceasedBoolean":false}
{"resourceType":"Procedure","id":"pr"}
""".strip()


@pytest.fixture
def silver(warehouse: Profile, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Return every observation row silver holds, kept or collided, by its id."""
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "a.ndjson").write_text(_LINES + "\n")
    # The same big number inside a Bundle, where cutting it out is what keeps it.
    big = _LINES.splitlines()[0].replace('"id":"big"', '"id":"bundled"').replace("2026-01-01", "2026-03-01")
    (drop / "b.json").write_text(f'{{"resourceType":"Bundle","entry":[\n {{"resource":{big}}}\n]}}')
    load(warehouse, drop)
    rows = read_rows(warehouse, "silver_fct_observation") + read_rows(warehouse, "silver_observation_collisions")
    return {row["observation_id"]: row for row in rows}


def test_values_are_exact(silver: dict[str, dict[str, Any]], warehouse: Profile) -> None:
    """Numbers, dates, references and texts arrive as they were sent, and what cannot be is null with a flag."""
    for name in ("big", "bundled"):
        assert silver[name]["value_text"] == "12345678901234567890.12"
        assert silver[name]["value_number"] == Decimal("12345678901234567890.12")
        assert silver[name]["comparator"] == "<"
    assert silver["big"]["obs_time"].isoformat() == "2025-12-31T22:00:00+00:00"
    assert (silver["zeros"]["value_text"], silver["zeros"]["patient_id"]) == ("6.30", "p")
    assert silver["zeros"]["obs_time_precision"] == "day"
    assert silver["tiny"]["value_text"] == "1.5e-7"
    assert silver["tiny"]["value_number"] == Decimal("0.00000015")
    assert silver["text"]["value_text"] == '"value":5'
    assert silver["text"]["obs_code"] == 'x "value": 5, y'
    assert (silver["false"]["value_type"], silver["false"]["value_text"]) == ("boolean", "false")

    year = silver["year"]
    assert (year["obs_time"], year["collision_reason"], year["value_text"]) == (None, "NULL_OBS_TIME", "0")
    assert year["obs_time_low"].isoformat() == "2025-12-31T10:00:00+00:00"
    assert year["obs_time_high"].isoformat() == "2027-01-01T11:59:59.999000+00:00"
    assert (silver["never"]["obs_time_text"], silver["never"]["flags"]) == ("2026-02-31T00:00:00Z", ["BAD_TIME"])

    assert {name for name in silver if name.startswith("parts")} == {"parts", "parts#1", "parts#2"}
    assert silver["parts#2"]["parent_observation_id"] == "parts"
    assert silver["parts#2"]["value_text"] == "80.0"
    assert silver["wrong"]["flags"] == ["BAD_FIELD"]
    assert (silver["wrong"]["collision_reason"], silver["wrong"]["obs_code"]) == ("NULL_PATIENT_ID", "b")

    (patient,) = read_rows(warehouse, "silver_dim_patient")
    assert (patient["birth_date"], patient["birth_date_text"]) == (None, "1970-06")
    assert (str(patient["birth_date_low"]), str(patient["birth_date_high"])) == ("1970-06-01", "1970-06-30")
    assert patient["deceased"] is False
    (other,) = read_rows(warehouse, "bronze_fhir_other")
    assert other["resource_type"] == "Procedure"
