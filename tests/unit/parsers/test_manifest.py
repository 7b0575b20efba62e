from __future__ import annotations

import io
import json
from typing import Any

import pytest

from airflow_lakehouse.parsers.manifest import ManifestParser
from airflow_lakehouse.parsing import Row, SourceFile, load_registry

ENTRIES = [
    {"document": "a.pdf", "patient_id": "p1", "encounter_id": "e1"},
    {"document": "b.pdf", "patient_id": None, "encounter_id": "Encounter/e2"},
]
CSV = "document,patient_id,encounter_id\r\na.pdf,p1,e1\r\nb.pdf,,Encounter/e2\r\n"
FORMS = {
    "manifest.csv": CSV.encode(),
    "manifest.json": json.dumps(ENTRIES, indent=1).encode(),
    "Manifest.ndjson": "\n".join(map(json.dumps, ENTRIES)).encode(),
}


def _file(name: str) -> SourceFile:
    return SourceFile(f"file:///raw/docs/dt=2026-01-01/{name}", "e", 1)


def _told(name: str, data: bytes) -> list[Any]:
    found = ManifestParser().parse(_file(name), io.BytesIO(data))
    return [one.values if isinstance(one, Row) else (one.position, one.reason) for one in found]


@pytest.mark.parametrize("name", sorted(FORMS))
def test_every_form_says_the_same(name: str) -> None:
    """CSV with a header, an array and an object a line give the same rows; references are bare ids."""
    assert _told(name, FORMS[name]) == [
        {"document": "a.pdf", "patient_id": "p1", "encounter_id": "e1"},
        {"document": "b.pdf", "patient_id": None, "encounter_id": "e2"},
    ]


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("manifest.csv", b"document,patient_id\n,p1\n", [(2, "NO_DOCUMENT")]),
        ("manifest.csv", b"document,patient_id\na.pdf, \n", [(2, "NO_SUBJECT")]),
        ("manifest.csv", b"document,patient_id\na.pdf,\xff\n", [(1, "BROKEN_MANIFEST")]),
        ("manifest.json", b'[{"document": "a.pdf", "patient_id": 7}]', [(1, "NO_SUBJECT")]),
        ("manifest.json", b'["document", null, []]', [(n, "NO_DOCUMENT") for n in (1, 2, 3)]),
        ("manifest.json", b'[{"document": "a.pdf"', [(1, "BROKEN_MANIFEST")]),
        ("manifest.ndjson", b'{"document": "a.pdf"}\n{"doc', [(1, "NO_SUBJECT"), (2, "BROKEN_MANIFEST")]),
    ],
)
def test_what_links_nothing_is_rejected_by_name(name: str, data: bytes, told: list[Any]) -> None:
    """Each bad entry has its reason and place; those before it are kept."""
    assert _told(name, data) == told


def test_a_manifest_is_known_by_name_and_content() -> None:
    """FHIR's parser does not get it, and a manifest of something else is not taken for one."""
    registry = load_registry()
    for name, data in FORMS.items():
        assert registry.claim(_file(name), data) is registry.get("docs_manifest")
    bulk = b'{"transactionTime": "2026-01-01T00:00:00Z", "output": []}'
    assert registry.claim(_file("manifest.json"), bulk) is registry.get("fhir")
    assert registry.claim(_file("other.csv"), CSV.encode()) is None
