"""Cutting FHIR files into records, without Spark."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lakehouse.parsers.fhir import FhirParser, json_spans
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


def test_python_constants_are_not_json() -> None:
    """NaN and Infinity, which Python reads, are refused where JSON has no place for them."""
    with pytest.raises(json_spans.MalformedJsonError):
        json_spans.value_span("[NaN]", 0)
