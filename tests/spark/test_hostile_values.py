"""Values that mean harm or come from careless hands: each is exact, or null with a flag; none is changed in silence."""

from __future__ import annotations

import base64
import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.tables import bronze, silver
from tests.spark.helpers import load, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark

VALUES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "thirteen decimals": (
        b'"valueQuantity":{"value":1.1234567890123}',
        {"value_number": None, "value_text": "1.1234567890123", "flags": ["INEXACT_NUMBER"]},
    ),
    "thirteen decimals by exponent": (
        b'"valueQuantity":{"value":1e-13}',
        {"value_number": None, "value_text": "1e-13", "flags": ["INEXACT_NUMBER"]},
    ),
    "twelve decimals by exponent": (
        b'"valueQuantity":{"value":100e-14}',
        {"value_number": Decimal("1e-12"), "value_text": "100e-14", "flags": []},
    ),
    "zeros at the end": (
        b'"valueQuantity":{"value":2.50000000000000000}',
        {"value_number": Decimal("2.5"), "value_text": "2.50000000000000000", "flags": []},
    ),
    "nought": (b'"valueQuantity":{"value":0e-40}', {"value_number": Decimal(0), "value_text": "0e-40", "flags": []}),
    "a key written with escapes": (
        rb'"valueQuantity":{"\u0076alu\u0065":12345678901234567890.120}',
        {"value_number": Decimal("12345678901234567890.12"), "value_text": "12345678901234567890.120", "flags": []},
    ),
    "no number": (
        b'"valueQuantity":{"value":"<5"}',
        {"value_number": None, "value_text": "<5", "flags": ["BAD_FIELD"]},
    ),
    "number for a text": (b'"valueString":1.50', {"value_type": None, "value_text": None, "flags": ["BAD_FIELD"]}),
    "object for a text": (b'"valueString":{"a":1}', {"value_text": None, "flags": ["BAD_FIELD"]}),
    "text for a boolean": (b'"valueBoolean":"yes"', {"value_text": None, "flags": ["BAD_FIELD"]}),
    "range": (
        b'"valueRange":{"low":{"value":1.50},"high":{"value":2.00}}',
        {"value_text": '{"low":{"value":1.50},"high":{"value":2.00}}', "flags": []},
    ),
    "text and number": (
        b'"valueString":"x","valueInteger":5',
        {"value_type": "string", "value_text": "x", "value_number": None, "flags": ["TWO_VALUES"]},
    ),
    "unit and text": (
        b'"valueQuantity":{"unit":"mg"},"valueString":"x"',
        {"value_type": "Quantity", "value_text": None, "unit": "mg", "flags": ["TWO_VALUES"]},
    ),
    "text and time": (
        b'"valueString":"x","valueDateTime":"2026-01-01T00:00:00Z"',
        {"value_type": "string", "value_time": None, "flags": ["TWO_VALUES"]},
    ),
    "a day there is not": (
        b'"valueDateTime":"2026-02-30"',
        {"value_time": None, "value_text": "2026-02-30", "flags": ["BAD_TIME"]},
    ),
    "half a character": (
        rb'"valueString":"a\ud800b"',
        {"value_text": "a?b", "flags": ["LONE_SURROGATE"]},
    ),
    "a whole one": (rb'"valueString":"a\ud83d\ude00b"', {"value_text": "a\U0001f600b", "flags": []}),
    "second reason": (
        b'"dataAbsentReason":{"coding":[{"display":"?"},{"code":"unknown"}]}',
        {"absent_reason": "unknown", "flags": []},
    ),
    "a line end behind a year": (
        rb'"effectiveDateTime":"2026\n"',
        {"obs_time_precision": None, "flags": ["BAD_TIME"]},
    ),
    "a line end behind a reference": (
        rb'"subject":{"reference":"Patient/p\n"}',
        {"patient_id": None, "flags": ["BAD_REFERENCE"]},
    ),
    "second to the second": (
        b'"effectiveDateTime":"2026-01-01T00:00:00+01:00"',
        {"obs_time_offset": "+01:00", "obs_time_precision": "second", "flags": []},
    ),
}


def _observation(number: int, said: bytes) -> bytes:
    parts = {b"subject": b'{"reference":"Group/g"}', b"code": b'{"text":"c"}'}
    rest = b",".join(b'"%s":%s' % one for one in parts.items() if b'"%s"' % one[0] not in said)
    return b'{"resourceType":"Observation","id":"v%d",%s,%s}' % (number, said, rest)


def test_values_are_exact_or_flagged(warehouse: Profile, tmp_path: Path) -> None:
    """Each value gives the columns written beside it; one of two values gives no column of the other."""
    lines = [_observation(number, said) for number, (said, _) in enumerate(VALUES.values())]
    good, bad = b'{"code":{"text":"a"},"valueInteger":1}', b'"x"'
    lines.append(_observation(98, b'"component":[%s,%s,%s]' % (good, bad, good)))
    write_lines(tmp_path / "drop/1.ndjson", *lines)
    load(warehouse, tmp_path / "drop")
    rows = {row["observation_id"]: row for row in read_rows(warehouse, silver.COLLISIONS.name)}
    for number, (case, (_, expected)) in enumerate(VALUES.items()):
        row = rows.pop(f"v{number}")
        assert {name: row[name] for name in expected} == expected, case
    assert set(rows) == {"v98", "v98#1", "v98#2", "v98#3"}
    assert [rows[f"v98#{part}"]["value_number"] for part in (1, 2, 3)] == [1, None, 1]
    assert rows["v98"]["flags"] == ["BAD_FIELD"]


def test_ids_that_could_be_another_s_are_not_in_silver(warehouse: Profile, tmp_path: Path) -> None:
    """Two ids that read alike do not become one, and none is taken for that of a component."""
    ids = (rb"x\ud800", rb"x\ud801", b"x?", b"o#1", rb"a\n", b"urn:uuid:1")
    write_lines(
        tmp_path / "drop/1.ndjson",
        *(b'{"resourceType":"Patient","id":"%s"}' % id_ for id_ in ids),
        b'{"resourceType":"Observation","id":"o","component":[{"valueInteger":1}]}',
        b'{"resourceType":"Observation","id":"o#1","code":{}}',
    )
    _, conformed = load(warehouse, tmp_path / "drop")
    rows = read_rows(warehouse, bronze.PATIENT.name)
    assert [row["body"].encode() for row in rows if "BAD_ID" not in row["flags"]] == []
    assert {row["patient_id"] for row in read_rows(warehouse, silver.PATIENT.name)} == {"a\n", "urn:uuid:1"}
    assert {row["observation_id"] for row in read_rows(warehouse, silver.COLLISIONS.name)} == {"o", "o#1"}
    assert conformed.totals["silver_dim_patient"] == {"excluded": 4, "winner": 2}


def test_patients_and_periods(warehouse: Profile, tmp_path: Path) -> None:
    """A birth date with a time is none; a period is reversed when it is, however exactly it is told."""
    race = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
    codes = [{"url": race, "extension": [{"url": "ombCategory", "valueCoding": {"code": code}}]} for code in "ab"]
    periods = {
        "day": {"start": "2026-03-05T15:00:00Z", "end": "2026-03-05"},
        "year": {"start": "2026-05", "end": "2025"},
        "back": {"start": "2026-03-06", "end": "2026-03-05"},
        "same": {"start": "2026-03-05", "end": "2026-03"},
    }
    write_lines(
        tmp_path / "drop/1.ndjson",
        {"resourceType": "Patient", "id": "p", "birthDate": "1980-01-01T00:00:00Z", "extension": codes},
        {"resourceType": "Patient", "id": "q", "birthDate": 1980, "gender": {"a": 1.50}},
        *({"resourceType": "Encounter", "id": id_, "period": period} for id_, period in periods.items()),
    )
    load(warehouse, tmp_path / "drop")
    rows = {row["patient_id"]: row for row in read_rows(warehouse, silver.PATIENT.name)}
    assert (rows["p"]["birth_date_precision"], rows["p"]["flags"], rows["p"]["race"]) == (
        None,
        ["BAD_TIME"],
        ["a", "b"],
    )
    assert (rows["q"]["birth_date_text"], rows["q"]["gender"], rows["q"]["flags"]) == (None, None, ["BAD_FIELD"])
    found = {
        row["encounter_id"]: "REVERSED_PERIOD" in row["flags"] for row in read_rows(warehouse, silver.ENCOUNTER.name)
    }
    assert found == {"day": False, "year": True, "back": True, "same": False}


def test_a_bad_sibling_hides_no_document(warehouse: Profile, tmp_path: Path) -> None:
    """Every attachment is a row, whatever stands beside it, and a PDF among them is extracted."""
    pdf = base64.b64encode(b"%PDF-1.4\n").decode()
    write_lines(
        tmp_path / "drop/1.ndjson",
        {"resourceType": "DocumentReference", "id": "mix", "content": [{"attachment": {"data": pdf}}, "x", None]},
        {"resourceType": "DocumentReference", "id": "alone", "content": {"attachment": {"data": pdf}}},
        {"resourceType": "DiagnosticReport", "id": "form", "presentedForm": [5, {"url": "a.pdf"}]},
    )
    load(warehouse, tmp_path / "drop")
    rows = read_rows(warehouse, bronze.ATTACHMENTS.name)
    found = {(row["resource_id"], row["attachment"]): (row["outcome"], row["reason"]) for row in rows}
    bad = ("rejected", "BAD_ATTACHMENT")
    assert found == {
        ("mix", 1): ("extracted", None),
        ("mix", 2): bad,
        ("mix", 3): bad,
        ("alone", 1): ("extracted", None),
        ("form", 1): bad,
        ("form", 2): ("by_url", None),
    }


def test_a_name_that_is_not_utf8_is_a_file_all_the_same(warehouse: Profile, tmp_path: Path) -> None:
    """Its bytes are spelled in the URI; it loads, and so does its neighbour."""
    drop = tmp_path / "drop"
    write_lines(drop / "good.ndjson", b'{"resourceType":"Patient","id":"a"}')
    name = os.fsencode(str(drop)) + b"/M\xfcller.ndjson"
    with open(name, "wb") as stream:  # noqa: PTH123 - a Path of it is what is tested
        stream.write(b'{"resourceType":"Patient","id":"b"}\n')
    result, _ = load(warehouse, drop)
    assert result.records == {"read": 2, "bronze": 2, "quarantine": 0}
    uris = {
        row["resource_id"]: row["source_uri"].rpartition("/")[2] for row in read_rows(warehouse, bronze.PATIENT.name)
    }
    assert uris == {"a": "good.ndjson", "b": "M%FCller.ndjson"}
