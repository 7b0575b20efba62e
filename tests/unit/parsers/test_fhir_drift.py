"""What a record has that FHIR R4 does not name."""

from __future__ import annotations

import pytest

from airflow_lakehouse.parsers.fhir.drift import read_shape, unknown_fields

CASES = [
    ("known", "Patient", "OBJECT<birthDate: STRING, id: STRING, name: ARRAY<OBJECT<family: STRING>>>", {}),
    ("unknown", "Patient", "OBJECT<nickname: STRING>", {"Patient.nickname": "string"}),
    ("nested", "Patient", "OBJECT<name: ARRAY<OBJECT<nick: ARRAY<STRING>>>>", {"Patient.name.nick": "array"}),
    ("what is below it stays below", "Patient", "OBJECT<x: OBJECT<y: BIGINT>>", {"Patient.x": "object"}),
    ("small and capital letters differ", "Patient", "OBJECT<ID: STRING>", {"Patient.ID": "string"}),
    ("companion of a primitive", "Patient", "OBJECT<_birthDate: OBJECT<extension: ARRAY<OBJECT<url: STRING>>>>", {}),
    ("companion of an array", "HumanName", "OBJECT<_given: ARRAY<OBJECT<id: STRING>>>", {}),
    ("companion of no primitive", "Patient", "OBJECT<_name: ARRAY<OBJECT<id: STRING>>>", {"Patient._name": "array"}),
    ("array for an object", "Encounter", "OBJECT<class: ARRAY<OBJECT<code: STRING>>>", {"Encounter.class": "array"}),
    ("object for an array", "Patient", "OBJECT<name: OBJECT<family: STRING>>", {"Patient.name": "object"}),
    ("number for a text", "Patient", "OBJECT<gender: BIGINT>", {"Patient.gender": "number"}),
    ("null and empty", "Patient", "OBJECT<gender: VOID, name: ARRAY<VOID>, text: OBJECT<>>", {}),
    ("several kinds", "Patient", "OBJECT<name: ARRAY<VARIANT>>", {}),
    ("number of any width", "Quantity", "OBJECT<value: DECIMAL(5,2)>", {}),
    ("contained resources are their own", "Patient", "OBJECT<contained: ARRAY<OBJECT<zzz: STRING>>>", {}),
    ("another type", "Novelty", "OBJECT<id: STRING>", {"Novelty": "object"}),
    ("a name that is none", "Patient", "OBJECT<`Jane Doe, 5: <b>`: STRING>", {"Patient.<name>": "string"}),
    ("a back tick", "Patient", "OBJECT<`a``b`: OBJECT<`c d`: STRING>, id: STRING>", {"Patient.<name>": "object"}),
    ("no shape", "Patient", None, {}),
]


@pytest.mark.parametrize(("resource_type", "shape", "found"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_unknown_fields(resource_type: str, shape: str | None, found: dict[str, str]) -> None:
    """Each shape gives the paths that are written beside it, and their kinds."""
    assert unknown_fields(resource_type, shape) == found


def test_extensions_nobody_reads_are_named_by_url() -> None:
    """A URL is told as it is; one silver reads, a relative one of a part and one that is no URL are not."""
    known = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
    found = unknown_fields("Patient", None, f"{known} ombCategory http://x.org/mothersName http://\u00e9 ")
    assert found == {"Patient.extension('http://x.org/mothersName')": "object"}


def test_a_shape_is_read_to_its_depth() -> None:
    """Brackets, commas and colons within names do not end a value."""
    shape = read_shape("OBJECT<a: ARRAY<ARRAY<OBJECT<`x: >,`: DOUBLE>>>, b: BOOLEAN>")
    (name, first), (_, second) = shape.fields
    assert name == "a"
    assert first.element is not None
    assert first.element.element is not None
    assert first.element.element.fields[0][0] == "x: >,"
    assert second.kind == "boolean"
