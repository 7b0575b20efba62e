"""Responses that Amazon Textract itself gave: every block is one row, whatever it looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from airflow_lakehouse.ocr.flatten import Origin, pages_of
from airflow_lakehouse.ocr.tables import TableChain

DATA: Final = Path(__file__).parents[3] / "shared" / "data" / "docs" / "textract-responses"
NAMES: Final = sorted(path.name for path in DATA.glob("t*.json"))

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not NAMES, reason="the recorded responses are not beside the project: ../shared/data"),
]


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_every_block_of_every_response_is_one_row(name: str) -> None:
    """Nothing is lost or doubled, every parent is there, and every page the response counts has an outcome."""
    response = _load(name)
    reads = list(pages_of([response], Origin("a" * 64)))
    made = [block for read in reads for block in read.blocks]
    assert len(made) == len(response.get("Blocks") or ())
    assert len({block.id for block in made}) == len(made)
    assert {block.parent_id for block in made if block.parent_id} <= {block.id for block in made}
    assert len(reads) == (response.get("DocumentMetadata") or {}).get("Pages", 0)
    words = [block["Text"] for block in response.get("Blocks") or () if block["BlockType"] == "WORD"]
    assert sorted(block.text or "" for block in made if block.block_type == "WORD") == sorted(words)
    assert all(0 <= value <= 1 for block in made for value in block.polygon)


@pytest.mark.parametrize(("degrees", "rotation"), [("90", 270), ("180", 180)])
def test_a_page_on_its_side_is_upright_afterwards(degrees: str, rotation: int) -> None:
    """Lines of the rotated samples run from left to right, top to bottom, once they are rows."""
    (read,) = pages_of([_load(f"trp__gib__{degrees}_degrees.json")], Origin("a" * 64))
    assert read.result.rotation == rotation
    lines = [block for block in read.blocks if block.block_type == "LINE" and len(block.text or "") > 8]
    rightward = [line for line in lines if line.polygon[2] - line.polygon[0] > abs(line.polygon[3] - line.polygon[1])]
    assert len(rightward) > 0.9 * len(lines) > 5


def test_tables_go_on_over_the_end_of_a_page() -> None:
    """The table at the foot of each page goes on at the head of the next one, and says which it continues."""
    chain = TableChain()
    reads = pages_of([_load("trp__gib_multi_tables_multi_page_sample.json")], Origin("a" * 64))
    tables = [block for read in reads for block in chain.link(read.blocks) if block.block_type == "TABLE"]
    by_place = sorted(tables, key=lambda table: (table.page, table.top))
    assert [table.page for table in by_place] == [1, 2, 2, 3]
    first, second, third, fourth = by_place
    assert (second.continues_id, third.continues_id, fourth.continues_id) == (first.id, None, third.id)


def test_two_columns_are_read_in_order() -> None:
    """The document of two columns that peers read row by row comes out column by column."""
    (read,) = pages_of([_load("trp__test-multicol-response-2.json")], Origin("a" * 64))
    lines = [block for block in read.blocks if block.block_type == "LINE"]
    left = [line.reading_order or 0 for line in lines if (line.left or 0) + (line.width or 0) < 0.5]
    right = [line.reading_order or 0 for line in lines if (line.left or 0) > 0.5]
    assert len(left) > 5
    assert sum(a > b for a in left for b in right) <= 0.1 * len(left) * len(right)
