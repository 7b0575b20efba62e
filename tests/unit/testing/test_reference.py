"""The reference model keeps the rules as they are written down; each case is one sentence of the documentation."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_lakehouse.exceptions import InputError
from airflow_lakehouse.parsers.fhir.reasons import NO_RESOURCE_TYPE, NOT_A_JSON_NUMBER
from airflow_lakehouse.tables import bronze, silver
from airflow_lakehouse.testing.reference import DropFile, ReferenceLakehouse
from airflow_lakehouse.testing.reference.records import occurrences


def _file(name: str, *lines: dict[str, Any] | bytes) -> DropFile:
    text = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return DropFile(f"file:///drop/{name}", text)


def _patient(id_: str = "p", version: str | None = None, day: int | None = None, **more: Any) -> dict[str, Any]:
    said = {"versionId": version, "lastUpdated": f"2026-01-{day:02d}T00:00:00Z" if day else None}
    meta = {name: value for name, value in said.items() if value}
    return {"resourceType": "Patient", "id": id_, **({"meta": meta} if meta else {}), **more}


def _delete(url: str, **response: str) -> dict[str, Any]:
    entry = {"request": {"method": "DELETE", "url": url}, **({"response": response} if response else {})}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


def _observation(id_: str, hour: int = 10, **more: Any) -> dict[str, Any]:
    time = f"2026-01-01T{hour}:00:00Z"
    code = {"coding": [{"code": "x"}, {"system": "http://loinc.org", "code": "1-1"}]}
    subject = {"reference": "https://host/fhir/Patient/p"}
    told = {"id": id_, "code": code, "subject": subject, "effectiveDateTime": time}
    return {"resourceType": "Observation", "status": "final", **told, **more}


def _after(*runs: list[DropFile]) -> ReferenceLakehouse:
    lakehouse = ReferenceLakehouse()
    for files in runs:
        lakehouse.run(files)
    return lakehouse


def _patients(lakehouse: ReferenceLakehouse) -> dict[str, str]:
    held = lakehouse.expected()[silver.PATIENT]
    return {key[1]: str(values["source_uri"]).removeprefix("file:///drop/") for key, values in held.items()}


def test_an_older_version_that_arrives_late_never_wins() -> None:
    """The source's own clock decides; versions count as numbers, so 10 is newer than 9."""
    a, b = _file("a", _patient(version="10", day=2)), _file("b", _patient(version="9", day=2))
    c = _file("c", _patient(version="11", day=1))
    for runs in ([[a], [b], [c]], [[c], [b], [a]], [[a, b, c]]):
        assert _patients(_after(*runs)) == {"p": "a"}


def test_without_time_or_version_the_last_one_loaded_wins() -> None:
    """A source that sends neither gets "latest ingested_at wins"; running again changes nothing."""
    a, b = _file("a", _patient(gender="male")), _file("b", _patient(gender="female"))
    assert _patients(_after([a], [a, b])) == {"p": "b"}
    assert _patients(_after([b], [a, b], [a, b])) == {"p": "a"}


def test_an_overwritten_file_takes_back_what_it_said() -> None:
    """Its older rows stay in bronze, and are no longer live, until it is back: then the rows between are not."""
    old, new = _file("a", _patient("p"), _patient("q")), _file("a", _patient("q"), _patient("r"))
    drops = [[old], [new], [old], [new]]
    found = [set(_patients(_after(*drops[:number]))) for number in range(1, 5)]
    assert found == [{"p", "q"}, {"q", "r"}, {"p", "q"}, {"q", "r"}]
    assert len(_after(*drops).expected()[bronze.PATIENT]) == 4


@pytest.mark.parametrize(
    ("deletion", "lives"),
    [
        pytest.param(_delete("Patient/p"), [False, False, True], id="says no time"),
        pytest.param(_delete("Patient/p", lastModified="2026-01-05T00:00:00Z"), [False] * 3, id="says a time"),
        pytest.param(_delete("Patient/other"), [True] * 3, id="of another"),
    ],
)
def test_a_deletion_stands_where_it_belongs(deletion: dict[str, Any], lives: list[bool]) -> None:
    """One that says neither time nor version stands right after the newest version that was there when it came."""
    runs = [[_file("a", _patient(day=2)), _file("b", deletion)], [_file("c", _patient(day=1))]]
    runs.append([_file("d", _patient(day=3, active=True))])
    found = [bool(_patients(_after(*runs[: number + 1])).get("p")) for number in range(3)]
    assert found == lives


def test_what_was_seen_and_not_loaded_keeps_its_time() -> None:
    """A run that was killed has named the time of its files; loaded later, they are as old as that."""
    a, b = _file("a", _patient(gender="male")), _file("b", _patient(gender="female"))
    lakehouse = ReferenceLakehouse()
    lakehouse.see([a])
    lakehouse.run([b])
    assert lakehouse.unloaded() == {(a.uri, a.etag)}
    lakehouse.run([a, b])
    assert _patients(lakehouse) == {"p": "b"}
    assert not lakehouse.unloaded()


def test_observations_that_share_a_key() -> None:
    """The newer holds the key and the other collides; a record entered in error gives way; components are rows."""
    part: dict[str, Any] = {"component": [{"code": {"text": "part"}}]}
    lakehouse = _after(
        [
            _file("a", _observation("a", meta={"lastUpdated": "2026-01-02T00:00:00Z"}, **part)),
            _file("b", _observation("b", meta={"lastUpdated": "2026-01-03T00:00:00Z"})),
            _file("c", _observation("c", meta={"lastUpdated": "2026-01-04T00:00:00Z"}, status="entered-in-error")),
            _file("d", _observation("d", effectiveDateTime="2026-01")),
        ]
    )
    held = lakehouse.expected()[silver.OBSERVATION]
    assert {(key[1], key[3], values["observation_id"]) for key, values in held.items()} == {
        ("p", "1-1", "b"),
        ("p", "part", "a#1"),
    }
    lost = lakehouse.expected()[silver.COLLISIONS]
    told = {key[1]: (row["collision_reason"], row["winner_observation_id"]) for key, row in lost.items()}
    assert told == {"a": ("SAME_KEY", "b"), "c": ("SAME_KEY", "b"), "d": ("NULL_OBS_TIME", None)}


def test_a_modifier_holds_a_version_back_and_not_the_one_before_it() -> None:
    """The version before it has lost its place all the same: silver has no row."""
    held_back = _patient(day=3, contact=[{"modifierExtension": [{"url": "x"}]}])
    assert _patients(_after([_file("a", _patient(day=2)), _file("b", held_back)])) == {}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", [(0, 0, "EMPTY_FILE")]),
        (b'{"resourceType":"Patient"}\n\n{"resourceType":"Pat', [(1, 0, ""), (3, 0, "TRUNCATED_JSON")]),
        (b'{"resourceType":"Patient"}\n{"a":NaN}\n', [(1, 0, ""), (2, 0, "NOT_A_JSON_NUMBER")]),
        (b'{"resourceType":"Patient"}\n5\n', [(1, 0, ""), (2, 0, "NOT_AN_OBJECT")]),
        (b'{"resourceType":"Patient"}\n{"id":"x"} {}\n', [(1, 0, ""), (2, 0, "TRAILING_CONTENT")]),
        (b'{"resourceType":"Patient"}\n{"x":"\xfc"}\n', [(1, 0, ""), (2, 0, "INVALID_UTF8")]),
        (b'[{"resourceType":"Patient"}, 5]', [(1, 0, ""), (2, 0, "NOT_AN_OBJECT")]),
        (json.dumps(_delete("Patient/p")).encode(), [(1, 0, "")]),
        (json.dumps(_delete("Patient?x=1")).encode(), [(1, 0, "CONDITIONAL_DELETE")]),
        (json.dumps(_patient(), indent=1).encode(), [(1, 0, "")]),
        (b"\n".join([json.dumps(_delete("Patient/p")).encode()] * 2), [(1, 1, ""), (2, 1, "")]),
        (gzip.compress(b'{"resourceType":"patient"}'), [(1, 0, "NO_RESOURCE_TYPE")]),
    ],
)
def test_a_file_is_cut_into_records_and_rejects(content: bytes, told: list[tuple[int, int, str]]) -> None:
    """Each record has its place, each reject its reason."""
    assert [(one.position, one.entry, one.reason) for one in occurrences(DropFile("u", content))] == told


_GOLDEN = Path(__file__).parents[2] / "data" / "fhir" / "cut"
_REFUSED = {
    "array_then_garbage",
    "array_truncated",
    "bundle_then_broken",
    "bundle_then_garbage",
    "bundle_then_resource",
    "bundle_truncated",
    "objects_parted_by_commas",
    "resource_then_bundle",
    "two_arrays",
    "two_bundles",
}


@pytest.mark.parametrize("case", sorted(_GOLDEN.iterdir()), ids=lambda case: case.name)
def test_it_agrees_with_the_golden_cases_of_the_cutter(case: Path) -> None:
    """Two readers that share no code put every record and reject in the same place; what one cannot read it refuses."""
    file = DropFile("u", (case / "input").read_bytes())
    if case.name in _REFUSED:
        with pytest.raises(InputError, match="does not model"):
            list(occurrences(file))
        return
    expected = json.loads((case / "expected.json").read_text("utf-8"))
    told = [(one["position"], one["entry"], one.get("reason", ""), one.get("body", "")) for one in expected]
    found = [
        # What a record says, its type and its numbers, is looked at when it is typed, after it is cut.
        (one.position, one.entry, "" if one.reason in (NO_RESOURCE_TYPE, NOT_A_JSON_NUMBER) else one.reason, one.text)
        for one in occurrences(file)
    ]
    assert [one[:3] for one in found] == [one[:3] for one in told]
    assert all(one[3] in ("", other[3]) for one, other in zip(found, told, strict=True))
