"""Blocks as Amazon Textract's JSON, and back.

What a local engine reads is stored as Textract stores its own results, so that one parser reads both. Two keys are
ours, ``ReadingOrder`` and ``ConfidenceSource``; Textract's readers ignore keys they do not know.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.ocr import blocks as kinds
from airflow_lakehouse.ocr.blocks import Block

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MODEL_VERSION: Final = "DetectDocumentTextModelVersion"
TEXTRACT: Final = "textract"


def to_json(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """Return blocks as Textract gives them.

    :param blocks: of one page.
    """
    every = list(blocks)
    children: dict[str, list[str]] = defaultdict(list)
    for block in every:
        if block.parent_id:
            children[block.parent_id].append(block.id)
    return [_to_json(block, children.get(block.id, [])) for block in every]


def _to_json(block: Block, children: list[str]) -> dict[str, Any]:
    points = zip(block.polygon[::2], block.polygon[1::2], strict=True)
    optional = {
        "Text": block.text,
        "Confidence": block.confidence,
        "RowIndex": block.row_index,
        "ColumnIndex": block.column_index,
        "RowSpan": block.row_span,
        "ColumnSpan": block.column_span,
        "ReadingOrder": block.reading_order,
        "ConfidenceSource": block.confidence_source,
        "Relationships": [{"Type": "CHILD", "Ids": children}] if children else None,
    }
    return {
        "Id": block.id,
        "BlockType": block.block_type,
        "Page": block.page,
        "Geometry": {
            "BoundingBox": {"Left": block.left, "Top": block.top, "Width": block.width, "Height": block.height},
            "Polygon": [{"X": x, "Y": y} for x, y in points],
        },
        **{name: value for name, value in optional.items() if value is not None},
    }


def from_json(found: Sequence[Mapping[str, Any]], *, page: int) -> list[Block]:
    """Return blocks from Textract's JSON; absent and null keys alike are unknown.

    :param found: the ``Blocks`` of one response.
    :param page: page of blocks that do not say theirs, as in every synchronous response.
    """
    parents = _parents(found)
    return [_from_json(block, parents.get(block["Id"]), page) for block in found]


def _parents(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return one parent a block: a word hangs under its line and also under cells and values, and counts once."""
    parents: dict[str, str] = {}
    ranked = sorted(found, key=lambda block: block.get("BlockType") != kinds.LINE)
    for block in ranked:
        for relation in block.get("Relationships") or ():
            if relation.get("Type") == "CHILD":
                for child in relation.get("Ids") or ():
                    parents.setdefault(child, block["Id"])
    return parents


def _from_json(block: Mapping[str, Any], parent: str | None, page: int) -> Block:
    geometry = block.get("Geometry") or {}
    box = geometry.get("BoundingBox") or {}
    polygon = [value for point in geometry.get("Polygon") or () for value in (point["X"], point["Y"])]
    confidence = block.get("Confidence")
    source = block.get("ConfidenceSource") or (TEXTRACT if confidence is not None else None)
    return Block(
        id=block["Id"],
        block_type=block.get("BlockType") or "UNKNOWN",
        page=block.get("Page") or page,
        text=block.get("Text"),
        confidence=confidence,
        confidence_source=source,
        left=box.get("Left", 0.0),
        top=box.get("Top", 0.0),
        width=box.get("Width", 1.0),
        height=box.get("Height", 1.0),
        polygon=tuple(polygon),
        parent_id=parent,
        reading_order=block.get("ReadingOrder"),
        row_index=block.get("RowIndex"),
        column_index=block.get("ColumnIndex"),
        row_span=block.get("RowSpan"),
        column_span=block.get("ColumnSpan"),
    )
