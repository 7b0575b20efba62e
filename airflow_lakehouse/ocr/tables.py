"""Tables that go on over the end of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.ocr import blocks as kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_lakehouse.ocr.blocks import Block

_SAME_EDGE: Final = 0.03
"""Share of the page by which the sides of two parts may differ."""
_MOST_BETWEEN: Final = 3
"""Lines between two parts, such as a footer, a page number and a running head."""


class TableChain:
    """Finds, page by page, tables that continue the one at the end of the page before.

    A table continues the last one of the page before when both have as many columns and the same sides, hardly any line
    stands between them, and the second has no title: a title begins something new.
    """

    def __init__(self) -> None:
        self._open: Block | None = None
        self._columns = 0
        self._below = 0
        self._page = 0

    def link(self, blocks: Sequence[Block]) -> Sequence[Block]:
        """Return the blocks of the next page, the table that continues another one saying so.

        :param blocks: of a page; pages come in order.
        """
        tables = sorted((one for one in blocks if one.block_type == kinds.TABLE and one.top is not None), key=_top)
        if not tables:
            self._open = None
            return blocks
        lines = [one for one in blocks if one.block_type == kinds.LINE and one.top is not None]
        first, last = tables[0], tables[-1]
        before = self._open
        above = sum(_bottom(line) < _top(first) for line in lines)
        if before is not None and first.page == self._page + 1 and self._continues(before, first, blocks, above):
            linked = first._replace(continues_id=before.id)
            blocks = [linked if one is first else one for one in blocks]
        self._open, self._columns, self._page = last, _columns(last, blocks), last.page
        self._below = sum(_top(line) > _bottom(last) for line in lines)
        return blocks

    def _continues(self, before: Block, table: Block, blocks: Sequence[Block], above: int) -> bool:
        if above + self._below > 2 * _MOST_BETWEEN or max(above, self._below) > _MOST_BETWEEN:
            return False
        if _columns(table, blocks) != self._columns or any(_is_title(one, table) for one in blocks):
            return False
        sides = ((before.left, table.left), (_right(before), _right(table)))
        return all(a is not None and b is not None and abs(a - b) <= _SAME_EDGE for a, b in sides)


def _columns(table: Block, blocks: Sequence[Block]) -> int:
    cells = (one for one in blocks if one.block_type == kinds.CELL and one.parent_id == table.id)
    return max(((one.column_index or 0) + (one.column_span or 1) - 1 for one in cells), default=0)


def _is_title(one: Block, table: Block) -> bool:
    return one.block_type == "TABLE_TITLE" and table.id in one.parent_ids


def _top(one: Block) -> float:
    return one.top or 0.0


def _bottom(one: Block) -> float:
    return (one.top or 0.0) + (one.height or 0.0)


def _right(one: Block) -> float:
    return (one.left or 0.0) + (one.width or 0.0)
