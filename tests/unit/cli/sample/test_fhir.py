"""What the FHIR files hold: every shape, every kind of value, every kind of damage."""

from __future__ import annotations

import io
import json
from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.cli.sample.broken import DEFECTS
from airflow_lakehouse.parsers.fhir.cut import cut
from airflow_lakehouse.parsing.model import Rejected
from tests.unit.cli.sample.conftest import FIRST, content_of, resource_or_none

if TYPE_CHECKING:
    from tests.unit.cli.sample.conftest import Drop


def _of_type(drop: Drop, resource_type: str) -> list[dict[str, Any]]:
    return [one for one in drop.resources() if one["resourceType"] == resource_type]


def test_every_shape_is_there(drop: Drop) -> None:
    """Lines plain, gzipped and mixed; transaction and searchset Bundles; single resources; an array."""
    held = {path.name: content_of(path) for path in drop.fhir_files(FIRST)}
    documents = {name: json.loads(content) for name, content in held.items() if name.endswith(".json")}
    assert {name for name in held if not name.endswith(".json")} == {
        "Patient.ndjson",
        "Encounter.ndjson.gz",
        "Observation.0001.ndjson.gz",
        "mixed.jsonl",
    }
    bundles = {one["type"] for one in documents.values() if isinstance(one, dict) and one["resourceType"] == "Bundle"}
    assert bundles == {"transaction", "searchset"}
    assert any(isinstance(one, list) for one in documents.values())
    single = {one["resourceType"] for one in documents.values() if isinstance(one, dict)} - {"Bundle"}
    assert single == {"Patient", "Encounter"}
    mixed = {one["resourceType"] for one in map(resource_or_none, held["mixed.jsonl"].splitlines()) if one}
    assert {"Condition", "Procedure", "Immunization"} <= mixed


def test_a_transaction_resolves_within_itself(drop: Drop) -> None:
    """Its fullUrls are urn:uuid, its references name one of them, and it is printed over many lines."""
    path = next(path for path in drop.fhir_files(FIRST) if path.name.startswith("transaction"))
    assert path.read_text(encoding="utf-8").count("\n") > 100
    bundle = json.loads(path.read_text(encoding="utf-8"))
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    assert all(url.startswith("urn:uuid:") for url in urls)
    subjects = {
        entry["resource"]["subject"]["reference"] for entry in bundle["entry"] if "subject" in entry["resource"]
    }
    assert len(subjects) == 1
    assert subjects <= urls


def test_references_lead_somewhere(drop: Drop) -> None:
    """Every patient and encounter that a record outside Bundles names is in the drop, documents' included."""
    everything = list(drop.resources())
    known = {f"{one['resourceType']}/{one['id']}" for one in everything if "id" in one}
    named = set()
    for one in everything:
        context = one.get("context", {}).get("encounter", [])
        for reference in chain(map(one.get, ("subject", "encounter", "patient", "partOf")), context):
            if reference and not reference["reference"].startswith("urn:"):
                named.add(reference["reference"])
    assert named
    assert named <= known


def test_ids_are_unique_in_a_day(drop: Drop) -> None:
    """No two records of one day share type and id, so only what is meant to collide does."""
    counts = Counter((one["resourceType"], one["id"]) for one in drop.resources(FIRST) if "id" in one)
    assert counts.most_common(1)[0][1] == 1


def test_patients_are_us_core(drop: Drop) -> None:
    """Race, ethnicity, birth sex, name, record number, address; partial birth dates; meta on most."""
    patients = [one for one in _of_type(drop, "Patient") if "id" in one]
    for one in patients:
        names = {part["url"].rsplit("/", 1)[-1] for part in one["extension"]}
        assert names == {"us-core-race", "us-core-ethnicity", "us-core-birthsex"}
        assert one["name"][0]["family"]
        assert one["identifier"][0]["value"].startswith("MRN")
        assert one["address"][0]["line"]
    assert {len(one["birthDate"]) for one in patients} == {4, 7, 10}
    assert 0 < sum("meta" not in one for one in patients) < len(patients) / 4
    numbers = {one["id"]: one["identifier"][0]["value"] for one in patients}
    assert len(set(numbers.values())) >= len({one for one in numbers if one.startswith("pat-")})


def test_encounters(drop: Drop) -> None:
    """Classes, offsets, and some that are still open; none ends before it starts or after it was recorded."""
    encounters = _of_type(drop, "Encounter")
    assert {one["class"]["code"] for one in encounters} == {"AMB", "EMER", "IMP"}
    assert len({one["period"]["start"][-6:] for one in encounters}) >= 3
    still_open = [one for one in encounters if "end" not in one["period"]]
    assert 0 < len(still_open) < len(encounters) / 3
    assert {one["status"] for one in still_open} == {"in-progress"}


def test_encounters_within_encounters(drop: Drop) -> None:
    """Some are part of another of the same patient, sent the same day, and lie within its period."""
    day = drop.by_id("Encounter", FIRST)
    parts = [one for one in day.values() if "partOf" in one and one["id"].startswith("enc-")]
    assert 0 < len(parts) < len(day) / 5
    for one in parts:
        whole = day[one["partOf"]["reference"].removeprefix("Encounter/")]
        assert one["subject"] == whole["subject"]
        assert "partOf" not in whole
        inner, outer = (
            {name: datetime.fromisoformat(text) for name, text in held["period"].items()} for held in (one, whole)
        )
        assert outer["start"] < inner["start"] < inner["end"] < outer.get("end", datetime.max.replace(tzinfo=UTC))


def test_observations_of_every_kind(drop: Drop) -> None:
    """Labs and vital signs; quantity, code, text, absent; comparator; components; a time that is only a date."""
    observations = _of_type(drop, "Observation")
    names = set().union(*observations)
    assert {"valueQuantity", "valueCodeableConcept", "valueString", "dataAbsentReason", "component"} <= names
    assert {one["category"][0]["coding"][0]["code"] for one in observations} == {"laboratory", "vital-signs"}
    assert any("comparator" in one.get("valueQuantity", {}) for one in observations)
    assert {len(one["effectiveDateTime"]) for one in observations} == {10, 25}
    assert {len(one["component"]) for one in observations if "component" in one} == {2}


def test_decimals_keep_their_digits(drop: Drop) -> None:
    """6.30 is 6.30 in the bytes; no marker of ours is left there."""
    content = b"\n".join(map(content_of, drop.fhir_files()))
    assert b'"value":6.30,' in content
    assert b"@" not in content
    glucose = [one for one in _of_type(drop, "Observation") if one["code"].get("text") == "Hemoglobin A1c"]
    assert {len(one["valueQuantity"]["value"].split(".")[1]) for one in glucose} == {2}


def test_documents_are_named(drop: Drop) -> None:
    """Each PDF of the drop has a DocumentReference with its path; some references lead elsewhere."""
    urls = {one["content"][0]["attachment"]["url"] for one in _of_type(drop, "DocumentReference")}
    files = {path.relative_to(drop.root).as_posix() for path in (drop.root / "docs").rglob("*.pdf")}
    assert files < urls


def test_every_kind_of_damage_is_there(drop: Drop) -> None:
    """Each defect is in the default sample, about as often as the ratio says."""
    assert drop.report.broken.keys() == {one.code for one in DEFECTS if not one.is_loaded}
    assert drop.report.flagged.keys() == {one.code for one in DEFECTS if one.is_loaded}
    broken = sum(drop.report.broken.values()) + sum(drop.report.flagged.values())
    assert 0.015 < broken / sum(drop.report.records.values()) < 0.025


def test_the_parser_rejects_what_is_broken_for_the_reason_it_is(drop: Drop) -> None:
    """What the FHIR parser finds when it cuts the files is what the report promised, reason by reason."""
    found: Counter[str] = Counter()
    loaded = 0
    for path in drop.fhir_files():
        for one in cut(io.BytesIO(content_of(path))):
            if isinstance(one, Rejected):
                found[one.reason] += 1
            elif (resource := resource_or_none(one.body)) is None:
                # Spark finds these two: they are cut out whole, and read later.
                found["INVALID_JSON" if b"NaN" in one.body else "NO_RESOURCE_TYPE"] += 1
            else:
                loaded += bool(resource)
    assert found == drop.report.broken
    assert loaded == sum(drop.report.records.values())


def test_a_sample_without_damage(written: Any) -> None:
    """Ratio 0 leaves not one line that cannot be read."""
    clean = written(documents=0, broken_ratio=0)
    assert not clean.report.broken
    assert not clean.report.flagged
    assert all(map(resource_or_none, clean.lines()))


def test_marks_and_ends_of_lines(drop: Drop) -> None:
    """One file begins with a byte-order mark; one has CRLF, blank lines, and stops in its last line."""
    held = {path.name: content_of(path) for path in drop.fhir_files(FIRST)}
    assert [name for name, content in held.items() if content.startswith(b"\xef\xbb\xbf")] == ["Patient.ndjson"]
    mixed = held["mixed.jsonl"]
    assert mixed.count(b"\r\n") == mixed.count(b"\n") > 10
    assert b"\r\n\r\n" in mixed
    assert not mixed.endswith(b"\n")
    assert resource_or_none(mixed.splitlines()[-1]) is None
