from __future__ import annotations

from airflow_lakehouse.ocr import blocks
from airflow_lakehouse.ocr.assemble import Frame, assemble
from airflow_lakehouse.ocr.blocks import Block
from airflow_lakehouse.ocr.geometry import Box, quad_of
from airflow_lakehouse.ocr.model import Line, Word
from airflow_lakehouse.ocr.textract_json import from_json, to_json

LINE = Line((Word("Sodium", 97.5, quad_of(Box(1, 1, 5, 2))),), 97.5, quad_of(Box(1, 1, 5, 2)))
FRAME = Frame(blocks.BlockNames("a" * 64, "rapidocr", 1), 1, blocks.OCR, 10, 10)


def test_blocks_survive_the_way_through_json() -> None:
    """What is stored as Textract's JSON is read back as it was, to the last field."""
    made = assemble([LINE], FRAME).blocks
    assert tuple(from_json(to_json(made))) == made
    full = Block(
        *("id", "KEY_VALUE_SET", 2, "yes", 98.5, "textract", 0.1, 0.2, 0.3, 0.4, (0.1,) * 8, "p", 3),
        *(1, 2, 3, 4, ("p", "q"), ("VALUE",), "HANDWRITING", "SELECTED", "Smoker", "smokes"),
    )
    question = Block("q", "QUERY", 2, None, None, None, None, None, None, None, (), key_text="Who?", key_alias="who")
    assert from_json(to_json([full, question])) == [full, question]


def test_json_has_the_keys_of_textract() -> None:
    """Tools that read Textract's responses find what they look for."""
    line = to_json(assemble([LINE], FRAME).blocks)[1]
    assert line["BlockType"] == "LINE"
    assert line["Geometry"]["BoundingBox"] == {"Left": 0.1, "Top": 0.1, "Width": 0.4, "Height": 0.1}
    assert line["Geometry"]["Polygon"][0] == {"X": 0.1, "Y": 0.1}
    assert line["Relationships"][0]["Type"] == "CHILD"


def test_relations_are_called_as_textract_calls_them() -> None:
    """A value hangs on its key by VALUE, a merged cell and a title on their table by their own names."""
    key = Block("k", "KEY_VALUE_SET", 1, entity_types=("KEY",))
    value = Block("v", "KEY_VALUE_SET", 1, parent_ids=("k",), entity_types=("VALUE",))
    table = Block("t", "TABLE", 1)
    inside = [Block(kind, kind, 1, parent_ids=("t",)) for kind in ("CELL", "MERGED_CELL", "TABLE_TITLE")]
    made = {block["Id"]: block for block in to_json([key, value, table, *inside])}
    assert made["k"]["Relationships"] == [{"Type": "VALUE", "Ids": ["v"]}]
    assert {relation["Type"] for relation in made["t"]["Relationships"]} == {"CHILD", "MERGED_CELL", "TABLE_TITLE"}
