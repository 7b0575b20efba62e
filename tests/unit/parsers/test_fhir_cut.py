"""Cutting FHIR files into records, without Spark."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lakehouse.parsers.fhir import FhirParser, json_spans
from airflow_lakehouse.parsers.fhir import bundle as bundles
from airflow_lakehouse.parsers.fhir import cut as cutting
from airflow_lakehouse.parsers.fhir.cut import cut
from airflow_lakehouse.parsing import Record
from airflow_lakehouse.testing import check_parser

CASES = Path(__file__).parents[2] / "data" / "fhir" / "cut"


def _found(content: bytes) -> list[dict[str, Any]]:
    found = []
    for item in cut(io.BytesIO(content)):
        place: dict[str, Any] = {"position": item.position, "entry": item.entry}
        if isinstance(item, Record):
            attributes = {"attributes": dict(item.attributes)} if item.attributes else {}
            found.append(place | {"body": item.body.decode()} | attributes)
        else:
            found.append(place | {"reason": item.reason})
    return found


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_golden_case(case: str) -> None:
    """Each file is cut into the records and rejects that its expected.json lists, and twice into the same."""
    content = (CASES / case / "input").read_bytes()
    assert _found(content) == json.loads((CASES / case / "expected.json").read_text())
    check_parser(FhirParser(), content, "file:///drop/x.json")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_RESOURCE = st.dictionaries(st.text(max_size=8), _JSON, max_size=4).map(lambda held: {"resourceType": "Basic", **held})


@settings(max_examples=50)  # text in text is slow to make up
@given(st.lists(_RESOURCE, min_size=2, max_size=6))
def test_every_line_is_found_again(resources: list[dict[str, Any]]) -> None:
    """Whatever resources are written one a line, exactly their texts come back, in order."""
    lines = [json.dumps(resource, ensure_ascii=False).encode("utf-8", "backslashreplace") for resource in resources]
    lines = [line for line in lines if b"\n" not in line]
    records = list(cut(io.BytesIO(b"\n".join(lines) + b"\n")))
    assert [record.body for record in records if isinstance(record, Record)] == lines


@settings(max_examples=50)
@given(st.lists(_RESOURCE, min_size=1, max_size=5), st.integers(0, 3))
def test_every_entry_is_cut_out_as_written(resources: list[dict[str, Any]], indent: int) -> None:
    """A Bundle's entries come back with the very text they had in it, however it was laid out."""
    bundle = json.dumps(
        {"resourceType": "Bundle", "entry": [{"resource": one} for one in resources]}, indent=indent or None
    )
    records = list(cut(io.BytesIO(bundle.encode())))
    assert [json.loads(record.body) for record in records if isinstance(record, Record)] == resources
    assert all(record.body.decode() in bundle for record in records if isinstance(record, Record))


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_rejects(content: bytes) -> None:
    """No input raises: every byte string is cut into records and rejects."""
    for item in cut(io.BytesIO(content)):
        assert item.position >= 0


_PLAIN = (b'{"resourceType":"Basic","id":"1"}', b'{"a":"\xc3\xa9"}')
_ODD = (
    b'{"a":"}{"}',
    b'{"a":1}{"b":2}',
    b'{"a":1},{"b":2}',
    b'{"a":1}  {"b":2}',
    b'{"a":{"b":1}',
    b'"c":1}}',
    b'{"a":1}}',
    b'{"a":',
    b"",
    b" ",
    b"[]",
    b'{"a":"\xff"}',
    b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Basic"}}]}',
)
_LINE = st.sampled_from((*_PLAIN, *_ODD))
_ENDS = st.sampled_from([b"\n", b"\r\n"])


@given(st.lists(_LINE, max_size=8), _ENDS, st.booleans(), st.integers(1, 80))
def test_blocks_of_lines_change_nothing(lines: list[bytes], end: bytes, last: bool, size: int) -> None:
    """However a file falls into blocks, and whatever its lines are, the same records and rejects are found."""
    first = b'{"resourceType":"Basic","id":"0"}'
    content = end.join([first, first, *lines]) + (end if last else b"")
    whole = _found(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "_BLOCK_BYTES", size)
        assert _found(content) == whole
    full = {number for number, line in enumerate(content.split(b"\n"), 1) if line.strip()}
    assert {one["position"] for one in whole} == full, "every line that says something is a record or a reject"
    plain = [number for number, line in enumerate(lines, 3) if line in _PLAIN]
    assert [one["position"] for one in whole if "body" in one and one["position"] in plain] == plain


def test_what_a_number_says_does_not_move_its_neighbours() -> None:
    """NaN, which Spark's reader rejects, and more digits than Python converts end where they end."""
    for number in ("NaN", "-Infinity", "9" * 5_000):
        assert json_spans.value_span(f"[{number}, 1]", 0).end == len(number) + 5
        entries = [f'{{"resourceType":"Basic","x":{one}}}' for one in ("1", number, "2")]
        assert [one.get("body") for one in _found(_bundle(*(f'{{"resource":{one}}}' for one in entries)))] == entries
        assert [one.get("body") for one in _found(f"[{','.join(entries)}]".encode())] == entries


def _bundle(*entries: str, kind: str = "Bundle") -> bytes:
    return f'{{"resourceType":"{kind}","entry":[{",".join(entries)}]}}'.encode()


A, B, C = (f'{{"resourceType":"Patient","id":"{id_}"}}' for id_ in "abc")
NO_ARRAY = (_bundle(f'{{"resource":{A}}}')[:-1] + b',"entry":5}', b'{"resourceType":"Bundle","entry":5}')
DAMAGED: dict[str, tuple[str | bytes, list[tuple[int, str]]]] = {
    "braces in strings hide no second object": (
        b'{"resourceType":"Basic"}\n{"id":"a","t":"{"}{"id":"b","t":"}"}\n{"id":"c","t":"\\\\{"}\n{"t":"{"} stray }',
        [(1, "+"), (2, "TRAILING_CONTENT"), (3, "+"), (4, "TRAILING_CONTENT")],
    ),
    "a bit that turned over at the head": (f"[{A[1:]}\n{B}\n{C}\n", [(1, "NOT_AN_OBJECT"), (2, "+"), (3, "+")]),
    "two broken lines at the head": (f"x\ny\n{B}\n", [(1, "NOT_AN_OBJECT"), (2, "NOT_AN_OBJECT"), (3, "+")]),
    "every line is broken, as Spark will find": ('{"a":tru}\n{"b":nul}\n', [(1, "+"), (2, "+")]),
    "a document with a resource on a line of its own": (
        f'{{"resourceType":"Patient","id":"p","contained":[\n{A}\n]}}',
        [(1, "+")],
    ),
    "a Bundle torn into lines": (
        f'{{"resourceType":"Bundle","entry":[{{"resource":\n{A}\n}},{{"resource":\n{B}\n}}]}}',
        [(1, "+"), (2, "+")],
    ),
    "a comma that begins a line": ('{ "resourceType": "Patient"\n, "id": "a"\n}', [(1, "+")]),
    "a Bundle whose type is written with an escape": (
        f"{A}\n".encode() + _bundle(f'{{"resource":{B}}}', kind=r"Bund\u006ce") + b"\n",
        [(1, "+"), (2, "+")],
    ),
    "byte-order marks within": (f"{A}\n\ufeff{B}\n", [(1, "+"), (2, "+")]),
    "several resources in an entry": (
        _bundle(f'{{"resource":{A},"resource":{B}}}', f'{{"resource":{C}}}'),
        [(1, "AMBIGUOUS_ENTRY"), (2, "+")],
    ),
    "a resource that is null beside one": (_bundle(f'{{"resource":null,"resource":{A}}}'), [(1, "+")]),
    "a Bundle that ends behind a key": (b'{"resourceType":"Bundle","entry":', [(1, "TRUNCATED_JSON")]),
    "the last of two types": (f'{{"resourceType":"Bundle","resourceType":"Patient","entry":[{A}]}}', [(1, "+")]),
    "places of values that are wrong as a whole": (
        b" ".join((NO_ARRAY[0], _bundle(f'{{"resource":{B}}}'), NO_ARRAY[1])),
        [(1, "+"), (2, "NOT_AN_OBJECT"), (3, "+"), (4, "NOT_AN_OBJECT")],
    ),
    "a deletion that says what it deletes": (
        _bundle(f'{{"resource":{A},"request":{{"method":"DELETE","url":"Patient/a"}}}}', f'{{"resource":{B}}}'),
        [(1, "deleted"), (2, "+")],
    ),
    "a time of deletion that no text can hold": (
        _bundle(r'{"request":{"method":"DELETE","url":"Patient/a_b"},"response":{"lastModified":"\ud800"}}'),
        [(1, "deleted")],
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_stays_where_it_is(case: str) -> None:
    """Each record is found at its place, or rejected for its own reason; none is lost, none shares a place."""
    content, expected = DAMAGED[case]
    found = _found(content.encode() if isinstance(content, str) else content)
    told = [
        (one["position"], one.get("reason") or ("deleted" if "deleted" in one.get("attributes", {}) else "+"))
        for one in found
    ]
    assert told == expected


_TEXTS = st.text(alphabet='{}"\\,:a\u00e9', max_size=6)
_OBJECTS = st.recursive(
    st.dictionaries(_TEXTS, _TEXTS, max_size=3),
    lambda inner: st.dictionaries(_TEXTS, inner | st.lists(inner, max_size=3), max_size=3),
    max_leaves=6,
)


@given(st.lists(_OBJECTS, min_size=1, max_size=5), st.data())
def test_lines_of_one_object_are_told_from_others(objects: list[dict[str, Any]], data: st.DataObject) -> None:
    """Whatever their texts hold: braces, as units of measure have them, quotes, backslashes.

    A large file of such lines is read by the block; two objects on a line, or a brace too many, are found in it all the
    same.
    """
    lines = [json.dumps(one, ensure_ascii=False) for one in objects]
    assert cutting._are_objects("\n".join(lines).encode())
    place = data.draw(st.integers(0, len(lines) - 1))
    for tail in (lines[0], "{", "}", '"'):
        odd = [*lines[:place], lines[place] + tail, *lines[place + 1 :]]
        assert not cutting._are_objects("\n".join(odd).encode())


def test_an_entry_gives_its_resource_an_id() -> None:
    """From the fullUrl, whatever its form, or from the URL the resource was put to; not from one of another type."""
    resource = '{"resourceType":"Patient"}'
    heads = (
        '"fullUrl":"urn:uuid:u-1"',
        '"fullUrl":"https://x.org/fhir/Patient/p-1"',
        '"request":{"method":"PUT","url":"Patient/p-2"}',
        '"request":{"method":"POST","url":"Patient"}',
        '"fullUrl":"https://x.org/fhir/Group/g-1"',
    )
    found = _found(_bundle(*(f'{{{head},"resource":{resource}}}' for head in heads)))
    assert [one.get("attributes", {}).get("full_url_id") for one in found] == ["u-1", "p-1", "p-2", None, None]


def test_deletions_are_cut_in_one_pass() -> None:
    """When a Bundle was made is looked up once, not once an entry: a hundred times the entries, no hundred passes."""
    entries = [f'{{"request":{{"method":"DELETE","url":"Patient/p{one}"}}}}' for one in range(200)]
    with pytest.MonkeyPatch.context() as patch:
        made_at = Mock(wraps=bundles._made_at)
        patch.setattr(bundles, "_made_at", made_at)
        assert len(_found(_bundle(*entries))) == 200
    made_at.assert_called_once()
