"""Blocks as Amazon Textract's JSON, and back.

What an engine has read, be it a local one or Textract, is stored as Textract stores its own results, so that tools
made for those read ours. Keys of ours stand beside theirs (``ReadingOrder``, ``ConfidenceSource`` ...), and cells, keys
and values say their text; Textract's readers ignore keys they do not know. Responses of Textract itself are read by
:mod:`airflow_lakehouse.ocr.flatten`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.ocr import blocks as kinds
from airflow_lakehouse.ocr.blocks import Block

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MODEL_VERSION: Final = "DetectDocumentTextModelVersion"
_PLAIN: Final = {
    "Text": "text",
    "Confidence": "confidence",
    "RowIndex": "row_index",
    "ColumnIndex": "column_index",
    "RowSpan": "row_span",
    "ColumnSpan": "column_span",
    "TextType": "text_type",
    "SelectionStatus": "selection_status",
    # Ours:
    "ReadingOrder": "reading_order",
    "ConfidenceSource": "confidence_source",
    "KeyText": "key_text",
    "KeyAlias": "key_alias",
}
"""Key of the JSON to attribute of the block."""
_OF_TABLES: Final = (kinds.MERGED_CELL, "TABLE_TITLE", "TABLE_FOOTER")
"""Blocks to which a table has a relation of their own name."""


def to_json(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """Return blocks as Textract gives them.

    :param blocks: of one page.
    """
    every = list(blocks)
    by_id = {block.id: block for block in every}
    related: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for block in every:
        for parent in block.parent_ids:
            if parent in by_id:
                related[parent][_relation(by_id[parent], block)].append(block.id)
    return [_to_json(block, related.get(block.id, {})) for block in every]


def _relation(parent: Block, block: Block) -> str:
    if kinds.VALUE in (*block.entity_types, block.block_type) and kinds.KEY in (
        *parent.entity_types,
        parent.block_type,
    ):
        return "VALUE"
    if parent.block_type == kinds.QUERY:
        return "ANSWER"
    return block.block_type if parent.block_type == kinds.TABLE and block.block_type in _OF_TABLES else "CHILD"


def _to_json(block: Block, related: Mapping[str, list[str]]) -> dict[str, Any]:
    points = zip(block.polygon[::2], block.polygon[1::2], strict=True)
    relationships = [{"Type": kind, "Ids": ids} for kind, ids in related.items()]
    optional = {
        **{name: getattr(block, attribute) for name, attribute in _PLAIN.items()},
        "EntityTypes": list(block.entity_types) or None,
        "ParentIds": list(block.parent_ids) or None,
        "Relationships": relationships or None,
    }
    if block.left is not None:
        optional["Geometry"] = {
            "BoundingBox": {"Left": block.left, "Top": block.top, "Width": block.width, "Height": block.height},
            "Polygon": [{"X": x, "Y": y} for x, y in points],
        }
    if block.block_type == kinds.QUERY:
        optional["Query"] = {"Text": block.key_text, "Alias": block.key_alias}
    return {
        "Id": block.id,
        "BlockType": block.block_type,
        "Page": block.page,
        **{name: value for name, value in optional.items() if value is not None},
    }


def from_json(found: Iterable[Mapping[str, Any]]) -> list[Block]:
    """Return the blocks that :func:`to_json` gave.

    :param found: the ``Blocks`` of one page.
    """
    return [_from_json(block) for block in found]


def _from_json(block: Mapping[str, Any]) -> Block:
    geometry = block.get("Geometry") or {}
    box = geometry.get("BoundingBox") or {}
    parents = tuple(block.get("ParentIds") or ())
    return Block(
        id=block["Id"],
        block_type=block["BlockType"],
        page=block["Page"],
        left=box.get("Left"),
        top=box.get("Top"),
        width=box.get("Width"),
        height=box.get("Height"),
        polygon=tuple(value for point in geometry.get("Polygon") or () for value in (point["X"], point["Y"])),
        parent_id=parents[0] if parents else None,
        parent_ids=parents,
        entity_types=tuple(block.get("EntityTypes") or ()),
        **{attribute: block.get(name) for name, attribute in _PLAIN.items()},
    )
