from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_lakehouse.exceptions import OcrError
from airflow_lakehouse.ocr import flatten
from airflow_lakehouse.ocr.flatten import Origin, pages_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_lakehouse.ocr.blocks import Block, PageRead

SHA = "a" * 64
Raw = dict[str, Any]


def _geometry(left: float, top: float, width: float = 0.2, height: float = 0.02) -> Raw:
    corners = ((left, top), (left + width, top), (left + width, top + height), (left, top + height))
    return {
        "BoundingBox": {"Left": left, "Top": top, "Width": width, "Height": height},
        "Polygon": [{"X": x, "Y": y} for x, y in corners],
    }


def _raw(name: str, kind: str, text: str | None = None, **more: Any) -> Raw:
    place = more.pop("at", None)
    relations = {key: more.pop(key) for key in ("CHILD", "VALUE", "ANSWER", "MERGED_CELL") if key in more}
    block: Raw = {"Id": name, "BlockType": kind, "Confidence": 99.5, **more}
    if text is not None:
        block["Text"] = text
    if place is not None:
        block["Geometry"] = _geometry(*place)
    if relations:
        block["Relationships"] = [{"Type": key, "Ids": ids} for key, ids in relations.items()]
    return block


def _line(name: str, text: str, at: tuple[float, ...] = (0.1, 0.1), **more: Any) -> list[Raw]:
    """Make a line and its words."""
    words = [_raw(f"{name}{place}", "WORD", word, at=at, **more) for place, word in enumerate(text.split())]
    return [_raw(name, "LINE", text, at=at, CHILD=[word["Id"] for word in words], **more), *words]


def _read(*blocks: Raw, **origin: Any) -> list[PageRead]:
    return list(pages_of([{"Blocks": list(blocks)}], Origin(SHA, **origin)))


def _of(reads: Sequence[PageRead], kind: str) -> list[Block]:
    return [block for read in reads for block in read.blocks if block.block_type == kind]


FORM = [
    _raw("page", "PAGE", CHILD=["l", "m", "t", "k", "v"]),
    *_line("l", "Smoker yes", (0.1, 0.1)),
    *_line("m", "Sodium 139", (0.1, 0.3)),
    _raw("t", "TABLE", at=(0.1, 0.3), CHILD=["c2", "c1"], MERGED_CELL=["mc"], EntityTypes=["STRUCTURED_TABLE"]),
    _raw("c2", "CELL", at=(0.3, 0.3), RowIndex=1, ColumnIndex=2, RowSpan=1, ColumnSpan=1, CHILD=["m1"]),
    _raw("c1", "CELL", at=(0.1, 0.3), RowIndex=1, ColumnIndex=1, RowSpan=1, ColumnSpan=1, CHILD=["m0"]),
    _raw("mc", "MERGED_CELL", at=(0.1, 0.3), RowIndex=1, ColumnIndex=1, RowSpan=1, ColumnSpan=2, CHILD=["c1", "c2"]),
    _raw("k", "KEY_VALUE_SET", at=(0.1, 0.1), EntityTypes=["KEY"], CHILD=["l0"], VALUE=["v"]),
    _raw("v", "KEY_VALUE_SET", at=(0.2, 0.1), EntityTypes=["VALUE"], CHILD=["l1", "s"]),
    _raw("s", "SELECTION_ELEMENT", at=(0.2, 0.1), SelectionStatus="SELECTED"),
    _raw("q", "QUERY", Query={"Text": "Sodium?", "Alias": "na"}, ANSWER=["a"]),
    _raw("a", "QUERY_RESULT", "139", at=(0.2, 0.3)),
    _raw("u", "QUERY", Query={"Text": "Potassium?"}),
]


def test_every_block_is_one_row_whatever_holds_it() -> None:
    """A word in a line, a cell and a value is one block; its line is its parent, and the others are named."""
    (read,) = _read(*FORM)
    assert len(read.blocks) == len(FORM) == len({block.id for block in read.blocks})
    assert [word.text for word in _of([read], "WORD")] == ["Smoker", "yes", "Sodium", "139"]
    by_id = {block.id: block for block in read.blocks}
    sodium = _of([read], "WORD")[2]
    assert [by_id[parent].block_type for parent in sodium.parent_ids] == ["LINE", "CELL"]
    assert all(block.parent_id in by_id for block in read.blocks if block.block_type != "PAGE")
    assert (read.result.status, read.result.n_blocks, read.result.mean_confidence) == ("ok", len(FORM), 99.5)


def test_keys_values_boxes_and_answers_are_rows() -> None:
    """A value says its key and whether its box is ticked, an answer its question; an unanswered question is a row."""
    reads = _read(*FORM)
    key, value = _of(reads, "KEY_VALUE_SET")
    assert (key.text, key.entity_types, key.key_text) == ("Smoker", ("KEY",), None)
    assert (value.text, value.key_text, value.selection_status) == ("yes", "Smoker", "SELECTED")
    assert value.parent_id == key.id
    (box,) = _of(reads, "SELECTION_ELEMENT")
    assert (box.selection_status, box.key_text, box.text) == ("SELECTED", "Smoker", None)
    (answer,) = _of(reads, "QUERY_RESULT")
    assert (answer.text, answer.key_text, answer.key_alias) == ("139", "Sodium?", "na")
    asked = [(one.key_text, one.key_alias, one.text, one.left, one.polygon) for one in _of(reads, "QUERY")]
    assert asked == [("Sodium?", "na", None, None, ()), ("Potassium?", None, None, None, ())]


def test_cells_come_row_by_row_and_merged_ones_say_all_their_text() -> None:
    """The service gives cells in an order of its own; a merged cell has the words of the cells in it."""
    reads = _read(*FORM)
    cells = _of(reads, "CELL")
    assert [(cell.row_index, cell.column_index, cell.text) for cell in cells] == [(1, 1, "Sodium"), (1, 2, "139")]
    (merged,) = _of(reads, "MERGED_CELL")
    assert (merged.text, merged.column_span) == ("Sodium 139", 2)
    (table,) = _of(reads, "TABLE")
    assert all(table.id in block.parent_ids for block in (*cells, merged))
    assert [len(cell.parent_ids) for cell in cells] == [2, 2]


def test_null_fields_are_as_good_as_absent_ones() -> None:
    """Objects of OutputConfig have every key, most of them null; the rows are the same."""
    names = ("Text", "Page", "Relationships", "EntityTypes", "Query", "RowIndex", "SelectionStatus", "TextType", "Hint")
    nulls = [{**dict.fromkeys((*names, "ColumnIndex", "RowSpan", "ColumnSpan", "Geometry")), **one} for one in FORM]
    response = {"Blocks": nulls, "Warnings": None, "NextToken": None, "StatusMessage": None, "DocumentMetadata": None}
    assert list(pages_of([response], Origin(SHA))) == _read(*FORM)


def test_identifiers_do_not_depend_on_the_service() -> None:
    """Textract's identifiers are new with every job: ours are the same, so that reading again adds no row."""
    renamed = json.loads(json.dumps(FORM).replace('"l', '"other-l').replace('"m', '"other-m').replace('"k"', '"kk"'))
    assert _read(*renamed) == _read(*FORM)


def test_a_response_that_comes_twice_counts_once() -> None:
    """A result page that was fetched again after a lost answer adds nothing."""
    named = [{**one, "Page": 1} for one in FORM]
    response = {"Blocks": named}
    assert list(pages_of([response, response], Origin(SHA))) == _read(*FORM)


def test_pages_without_a_name_begin_with_their_page_block() -> None:
    """Synchronous responses name no page; one of several pages is told apart all the same."""
    reads = _read(_raw("p", "PAGE"), *_line("a", "one"), _raw("q", "PAGE"), *_line("b", "two"))
    assert [[block.text for block in _of([read], "LINE")] for read in reads] == [["one"], ["two"]]
    assert [block.page for read in reads for block in read.blocks] == [1, 1, 1, 2, 2, 2]


def test_blocks_of_a_type_nobody_knows_pass_through() -> None:
    """The types are an open set: what Textract adds next year has rows today."""
    (block,) = _of(_read(*_line("a", "one"), _raw("h", "HOLOGRAM", "?", at=(0, 0))), "HOLOGRAM")
    assert (block.text, block.reading_order) == ("?", 1)
    (typeless,) = _of(_read({"Id": "x", "Text": "lost"}), "UNKNOWN")
    assert typeless.text == "lost"


def test_every_page_is_accounted_for() -> None:
    """Pages the service warned of, left out, or found empty come out as failed or blank, each with its reason."""
    response = {
        "DocumentMetadata": {"Pages": 4},
        "JobStatus": "PARTIAL_SUCCESS",
        "Warnings": [{"ErrorCode": "UnsupportedPageSize", "Pages": [2]}, {"ErrorCode": None, "Pages": None}],
        "Blocks": [{**one, "Page": 1} for one in _line("a", "one")] + [_raw("p4", "PAGE", Page=4)],
        "DetectDocumentTextModelVersion": "1.0",
    }
    reads = list(pages_of([response], Origin(SHA, job_id="job", pages=5)))
    assert [(read.result.page, read.result.status, read.result.reason) for read in reads] == [
        (1, "ok", None),
        (2, "failed", "UNSUPPORTED_PAGE_SIZE"),
        (3, "failed", "PAGE_MISSING"),
        (4, "blank", "NO_TEXT_FOUND"),
        (5, "failed", "PAGE_MISSING"),
    ]
    assert {read.result.job_id for read in reads} == {"job"}
    assert {read.result.engine_version for read in reads} == {"1.0"}


def test_a_page_that_says_nothing_but_the_question_is_blank_and_one_that_was_warned_of_has_failed() -> None:
    """Every page of a job with queries has their blocks; a page the service gave up on may still have its own."""
    query: Raw = {"Query": {"Text": "What is the date?"}}
    response = {
        "DocumentMetadata": {"Pages": 3},
        "JobStatus": "PARTIAL_SUCCESS",
        "Warnings": [{"ErrorCode": "InternalError", "Pages": [2, 3]}],
        "Blocks": [
            _raw("p1", "PAGE", Page=1),
            {**_raw("q1", "QUERY", Page=1), **query},
            _raw("p2", "PAGE", Page=2),
            {**_raw("q2", "QUERY", Page=2), **query},
            *({**one, "Page": 3} for one in _line("a", "one")),
        ],
    }
    reads = list(pages_of([response], Origin(SHA, pages=3)))
    assert [(read.result.status, read.result.reason, bool(read.blocks)) for read in reads] == [
        ("blank", "NO_TEXT_FOUND", True),
        ("failed", "INTERNAL_ERROR", False),
        ("ok", None, True),
    ]


@pytest.mark.parametrize("response", [{}, {"JobStatus": "FAILED"}, {"Blocks": None}, {"Blocks": [None]}])
def test_responses_without_blocks_give_the_pages_that_were_expected(response: Raw) -> None:
    """A failed job says nothing of its pages; those that preflight has counted fail by name."""
    assert list(pages_of([response], Origin(SHA))) == []
    (read,) = pages_of([response], Origin(SHA, pages=1))
    assert (read.result.status, read.result.reason) == ("failed", "PAGE_MISSING")


def test_counts_of_stand_ins_are_understood_and_absurd_ones_refused() -> None:
    """moto nests the count of pages; a count of millions would be as many rows."""
    nested = {"DocumentMetadata": {"Pages": {"Pages": 2}}}
    assert [read.result.reason for read in pages_of([nested], Origin(SHA))] == ["PAGE_MISSING"] * 2
    for response in ({"DocumentMetadata": {"Pages": 2**31}}, {"Blocks": [_raw("p", "PAGE", Page=2**31)]}):
        with pytest.raises(OcrError, match="2147483648"):
            list(pages_of([response], Origin(SHA)))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_coordinates_are_those_of_the_upright_page(degrees: int) -> None:
    """A page scanned on its side gives the blocks of the upright one, and its turn."""

    def turned(x: float, y: float) -> tuple[float, float]:
        return {0: (x, y), 90: (1 - y, x), 180: (1 - x, 1 - y), 270: (y, 1 - x)}[degrees]

    blocks = [_raw("p", "PAGE"), *_line("a", "first line", (0.1, 0.1)), *_line("b", "second line", (0.1, 0.2))]
    upright = _read(*blocks)
    for block in blocks:
        for point in (block.get("Geometry") or {}).get("Polygon", ()):
            point["X"], point["Y"] = turned(point["X"], point["Y"])
    (read,) = _read(*blocks, sizes=((600, 400),))
    assert read.result.rotation == (360 - degrees) % 360
    assert read.result.width_pt == (400 if degrees in (90, 270) else 600)
    for a, b in zip(upright[0].blocks, read.blocks, strict=True):
        assert (a.id, a.text) == (b.id, b.text)
        assert b.polygon == pytest.approx(a.polygon)
        assert (b.left, b.top, b.width, b.height) == pytest.approx((a.left, a.top, a.width, a.height))


def test_columns_are_read_one_after_the_other() -> None:
    """Textract gives lines row by row; a person reads the left column first."""
    lines = [_line(f"{side}{row}", f"{side}{row} and more words here", (x, 0.1 + 0.03 * row, 0.35))
             for row in range(8) for side, x in (("L", 0.1), ("R", 0.55))]  # fmt: skip
    found = [line.text or "" for line in _of(_read(*(block for line in lines for block in line)), "LINE")]
    assert [text[:2] for text in found] == [f"{side}{row}" for side in "LR" for row in range(8)]


def test_what_lies_beyond_the_page_ends_at_its_edge() -> None:
    """The service's boxes reach a hair beyond; a confidence of an integer is a number like any."""
    (read,) = _read(*_line("a", "one", (-0.01, 0.99)), {"Id": "b", "BlockType": "LINE", "Confidence": 101})
    line, strange = _of([read], "LINE")
    assert (line.left, line.top) == (0.0, 0.99)
    assert line.height == pytest.approx(0.01)
    assert min(line.polygon) >= 0 <= max(line.polygon) <= 1
    assert (strange.confidence, strange.left) == (100.0, None)


def test_pages_are_given_while_more_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document of thousands of pages is never in memory as a whole; what comes too late is an error, not a loss."""
    monkeypatch.setattr(flatten, "_HELD_BLOCKS", 10)
    responses = [{"Blocks": [{**one, "Page": page} for one in _line("a", "one two three")]} for page in range(1, 9)]
    seen: list[int] = []

    def told() -> Any:
        for response in responses:
            seen.append(response["Blocks"][0]["Page"])
            yield response

    reads = pages_of(told(), Origin(SHA))
    assert next(reads).result.page == 1
    assert seen == [1, 2, 3]
    assert [read.result.page for read in reads] == list(range(2, 9))
    with pytest.raises(OcrError, match="page 1 came after"):
        list(pages_of([*responses, responses[0]], Origin(SHA)))


_IDS = st.sampled_from("abcdef")
_BLOCKS = st.lists(
    st.fixed_dictionaries(
        {
            "Id": _IDS,
            "BlockType": st.sampled_from(["PAGE", "LINE", "WORD", "CELL", "MERGED_CELL", "KEY_VALUE_SET", "X"]),
        },
        optional={
            "Page": st.sampled_from([None, 1, 2, 3]),
            "Text": st.sampled_from([None, "", "word"]),
            "Confidence": st.sampled_from([None, 0, 50.5, 100]),
            "Geometry": st.sampled_from([None, {}, {"BoundingBox": None, "Polygon": None}, _geometry(0.1, 0.1)]),
            "Relationships": st.lists(
                st.fixed_dictionaries(
                    {
                        "Type": st.sampled_from(["CHILD", "VALUE", "ANSWER", "MERGED_CELL", "NEW", None]),
                        "Ids": st.one_of(st.none(), st.lists(_IDS)),
                    }
                )
            ),
            "EntityTypes": st.sampled_from([None, [], ["KEY"], ["VALUE"]]),
        },
    )
)


@given(_BLOCKS)
def test_no_shape_is_lost_or_breaks_it(blocks: list[Raw]) -> None:
    """Cycles, strangers, blocks of no place: one row for every block of a page, and pages without a gap."""
    reads = _read(*blocks)
    assert [read.result.page for read in reads] == list(range(1, len(reads) + 1))
    for read in reads:
        ids = [block.id for block in read.blocks]
        assert len(ids) == len(set(ids))
        assert {parent for block in read.blocks for parent in block.parent_ids} <= set(ids)
