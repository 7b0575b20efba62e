from __future__ import annotations

import pytest

from airflow_lakehouse.ocr.blocks import Block
from airflow_lakehouse.ocr.tables import TableChain


def _table(page: int, top: float, columns: int = 2, left: float = 0.1) -> list[Block]:
    name = f"t{page}{top}"
    table = Block(name, "TABLE", page, left=left, top=top, width=0.5, height=0.1)
    cells = [
        Block(f"{name}c{n}", "CELL", page, parent_id=name, parent_ids=(name,), row_index=1, column_index=n)
        for n in range(1, columns + 1)
    ]
    return [table, *cells]


def _lines(page: int, count: int, top: float) -> list[Block]:
    return [Block(f"l{page}{n}{top}", "LINE", page, left=0.1, top=top, width=0.5, height=0.01) for n in range(count)]


def _continues(first: list[Block], second: list[Block]) -> bool:
    chain = TableChain()
    chain.link(first)
    (told,) = {block.continues_id for block in chain.link(second) if block.block_type == "TABLE"}
    assert told in (None, first[0].id)
    return told is not None


def test_a_table_goes_on_below_a_running_head() -> None:
    """As many columns, the same sides and little between: one table, cut by the end of the page."""
    assert _continues(_table(1, 0.8) + _lines(1, 1, 0.95), _table(2, 0.1) + _lines(2, 2, 0.05))


@pytest.mark.parametrize(
    "second",
    [
        _table(2, 0.1, columns=3),
        _table(2, 0.1, left=0.2),
        _table(3, 0.1),
        _table(2, 0.3) + _lines(2, 4, 0.1),
        [*_table(2, 0.1), Block("title", "TABLE_TITLE", 2, parent_ids=("t20.1",))],
    ],
    ids=["other-columns", "other-place", "a-page-between", "text-between", "a-title"],
)
def test_another_table_is_another_table(second: list[Block]) -> None:
    """What looks like a new table is one."""
    assert not _continues(_table(1, 0.8), second)
