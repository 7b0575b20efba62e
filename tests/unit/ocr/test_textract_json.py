from __future__ import annotations

from typing import Any

from airflow_lakehouse.ocr import blocks
from airflow_lakehouse.ocr.assemble import Frame, assemble
from airflow_lakehouse.ocr.geometry import Box, quad_of
from airflow_lakehouse.ocr.model import Line, Word
from airflow_lakehouse.ocr.textract_json import from_json, to_json

LINE = Line((Word("Sodium", 97.5, quad_of(Box(1, 1, 5, 2))),), 97.5, quad_of(Box(1, 1, 5, 2)))


def test_blocks_survive_the_way_through_json() -> None:
    """What is stored as Textract's JSON is read back as it was."""
    made = assemble([LINE], Frame("a" * 64, 1, "rapidocr", blocks.OCR, 10, 10)).blocks
    assert tuple(from_json(to_json(made), page=1)) == made


def test_json_has_the_keys_of_textract() -> None:
    """Tools that read Textract's responses find what they look for."""
    line = to_json(assemble([LINE], Frame("a" * 64, 1, "rapidocr", blocks.OCR, 10, 10)).blocks)[1]
    assert line["BlockType"] == "LINE"
    assert line["Geometry"]["BoundingBox"] == {"Left": 0.1, "Top": 0.1, "Width": 0.4, "Height": 0.1}
    assert line["Geometry"]["Polygon"][0] == {"X": 0.1, "Y": 0.1}
    assert line["Relationships"][0]["Type"] == "CHILD"


def test_null_and_missing_fields_are_unknown() -> None:
    """Responses that Textract wrote to a bucket hold nulls, and synchronous ones no page."""
    found = [
        {"Id": "1", "BlockType": "PAGE", "Confidence": None, "Relationships": None, "Geometry": None, "Page": None},
        {"Id": "2", "BlockType": "TITLE", "Text": None},
    ]
    first, second = from_json(found, page=4)
    assert (first.page, first.confidence, first.confidence_source) == (4, None, None)
    assert (second.block_type, second.text) == ("TITLE", None)


def test_a_word_under_line_and_cell_has_the_line_as_parent() -> None:
    """A word with many parents is one block, and its parent is its line."""
    found: list[dict[str, Any]] = [
        {"Id": "c", "BlockType": "CELL", "Relationships": [{"Type": "CHILD", "Ids": ["w"]}]},
        {"Id": "l", "BlockType": "LINE", "Relationships": [{"Type": "CHILD", "Ids": ["w"]}]},
        {"Id": "w", "BlockType": "WORD", "Text": "x", "Confidence": 99.0},
    ]
    word = from_json(found, page=1)[2]
    assert word.parent_id == "l"
    assert word.confidence_source == "textract"
