"""Tables and form fields of a page, as Textract shapes them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.ocr import blocks as kinds
from airflow_lakehouse.ocr.blocks import Block
from airflow_lakehouse.ocr.geometry import Box, around, quad_of, turn_box
from airflow_lakehouse.ocr.ruled import Cell, Grid, grids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_lakehouse.ocr.assemble import Assembled, Frame
    from airflow_lakehouse.ocr.widgets import Field

FORM_FIELD: Final = "form_field"
"""Source of the confidence of what was filled into a field: the file itself says it."""
_CERTAIN: Final = 100.0
_FEWEST: Final = 2
"""Cells with words from which a grid is a table, not a drawing."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a page has beside lines, in the units of its frame.

    :param rules: thin boxes.
    :param fields: form fields.
    """

    rules: Sequence[Box] = ()
    fields: Sequence[Field] = ()


def with_structure(read: Assembled, frame: Frame, found: Found) -> tuple[Block, ...]:
    """Return the blocks of a page with its tables and form fields.

    :param read: its lines and words.
    :param frame: the page.
    :param found: its rules and fields.
    """
    upright = [_upright(rule, read.rotation, frame) for rule in found.rules]
    made = _Structure(frame, read.blocks)
    for grid in grids(upright, 1.0, 1.0):
        made.add_table(grid)
    for field in found.fields:
        made.add_field(field, _upright(field.box, read.rotation, frame))
    words = (
        block._replace(parent_ids=(*block.parent_ids, *made.cells_of[block.id])) if block.id in made.cells_of else block
        for block in read.blocks
    )
    return (*words, *made.blocks)


def _upright(box: Box, rotation: int, frame: Frame) -> Box:
    """Return a box of the displayed page as shares of the upright one."""
    shares = Box(box.left / frame.width, box.top / frame.height, box.right / frame.width, box.bottom / frame.height)
    left, top, right, bottom = (min(1.0, max(0.0, value)) for value in turn_box(shares, rotation, 1.0, 1.0))
    return Box(left, top, right, bottom)


class _Structure:
    """Collects the blocks."""

    def __init__(self, frame: Frame, read: Sequence[Block]) -> None:
        self.blocks: list[Block] = []
        self.cells_of: dict[str, tuple[str, ...]] = {}
        self._frame = frame
        self._page = read[0].id
        self._words = [block for block in read if block.block_type == kinds.WORD]
        self._counts: dict[str, int] = defaultdict(int)

    def add_table(self, grid: Grid) -> None:
        words = self._words_in(grid)
        if len(words) < _FEWEST:
            return
        table = self._add(kinds.TABLE, grid.box, (self._page,))
        above: dict[tuple[int, int], tuple[str, ...]] = {(cell.row, cell.column): (table.id,) for cell in grid.cells}
        for part in grid.merged:
            inside = [word for cell in part for word in words.get((cell.row, cell.column), ())]
            merged = self._add(
                kinds.MERGED_CELL, around(cell.box for cell in part), (table.id,), text=_text(inside), **_span(part)
            )
            above.update(((cell.row, cell.column), (table.id, merged.id)) for cell in part)
        for cell in grid.cells:
            inside = words.get((cell.row, cell.column), [])
            made = self._add(kinds.CELL, cell.box, above[cell.row, cell.column], text=_text(inside), **_span((cell,)))
            self.cells_of.update((word.id, (made.id,)) for word in inside)

    def add_field(self, field: Field, box: Box) -> None:
        certain = {"confidence": _CERTAIN, "confidence_source": FORM_FIELD}
        key = self._add(kinds.KEY_VALUE_SET, None, (self._page,), text=field.key, entity_types=(kinds.KEY,), **certain)
        status = None
        if field.is_selected is not None:
            status = kinds.SELECTED if field.is_selected else kinds.NOT_SELECTED
        said = {"selection_status": status, "key_text": field.key, **certain}
        value = self._add(kinds.KEY_VALUE_SET, box, (key.id,), text=field.value, entity_types=(kinds.VALUE,), **said)
        if status:
            self._add(kinds.SELECTION_ELEMENT, box, (value.id,), **said)

    def _words_in(self, grid: Grid) -> dict[tuple[int, int], list[Block]]:
        """Return the words of each cell, by the middle of the word."""
        columns = sorted({cell.box.left for cell in grid.cells} | {grid.box.right})
        rows = sorted({cell.box.top for cell in grid.cells} | {grid.box.bottom})
        found: dict[tuple[int, int], list[Block]] = defaultdict(list)
        for word in self._words:
            x = (word.left or 0.0) + (word.width or 0.0) / 2
            y = (word.top or 0.0) + (word.height or 0.0) / 2
            row, column = bisect_right(rows, y), bisect_right(columns, x)
            if 0 < row < len(rows) and 0 < column < len(columns):
                found[row, column].append(word)
        return found

    def _add(self, kind: str, box: Box | None, parents: tuple[str, ...], **more: object) -> Block:
        self._counts[kind] += 1
        place: dict[str, object] = {"left": None, "top": None, "width": None, "height": None, "polygon": ()}
        if box is not None:
            left, top, right, bottom = (round(value, 6) for value in box)
            polygon = tuple(value for point in quad_of(Box(left, top, right, bottom)) for value in point)
            width, height = round(right - left, 6), round(bottom - top, 6)
            place = {"left": left, "top": top, "width": width, "height": height, "polygon": polygon}
        ordinal = self._counts[kind]
        values = {"parent_id": parents[0], "parent_ids": parents, "reading_order": ordinal, **place, **more}
        block = Block(self._frame.names.of(kind, ordinal), kind, self._frame.page, **values)  # type: ignore[arg-type]
        self.blocks.append(block)
        return block


def _text(words: Iterable[Block]) -> str | None:
    return " ".join(word.text or "" for word in words) or None


def _span(part: Sequence[Cell]) -> dict[str, int]:
    rows, columns = [cell.row for cell in part], [cell.column for cell in part]
    return {
        "row_index": min(rows),
        "column_index": min(columns),
        "row_span": max(rows) - min(rows) + 1,
        "column_span": max(columns) - min(columns) + 1,
    }
