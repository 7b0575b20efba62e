from __future__ import annotations

import uuid

from airflow_lakehouse.ocr import blocks
from airflow_lakehouse.ocr.assemble import Frame, assemble
from airflow_lakehouse.ocr.geometry import Box, quad_of, turn_quad
from airflow_lakehouse.ocr.model import Line, Word

SHA = "a" * 64


def _line(text: str, box: Box) -> Line:
    step = box.width / len(text.split())
    words = [
        Word(word, 90.0, quad_of(Box(box.left + step * i, box.top, box.left + step * (i + 1), box.bottom)))
        for i, word in enumerate(text.split())
    ]
    return Line(tuple(words), 90.0, quad_of(box))


def _frame(width: float = 100, height: float = 200) -> Frame:
    return Frame(blocks.BlockNames(SHA, "rapidocr", 3), 3, blocks.OCR, width, height)


LINES = [_line("second line", Box(10, 60, 60, 70)), _line("first line", Box(10, 20, 60, 30))]


def test_names_depend_on_every_part_of_where_a_block_is() -> None:
    """A block keeps its name over readings, and no two blocks share one; it is a UUID to whoever asks."""
    first = blocks.BlockNames(SHA, "rapidocr", 1).of(blocks.WORD, 1)
    assert first == blocks.BlockNames(SHA, "rapidocr", 1).of(blocks.WORD, 1)
    assert (uuid.UUID(first).version, uuid.UUID(first).variant) == (8, uuid.RFC_4122)
    others = [
        blocks.BlockNames("b" * 64, "rapidocr", 1).of(blocks.WORD, 1),
        blocks.BlockNames(SHA, "text_layer", 1).of(blocks.WORD, 1),
        blocks.BlockNames(SHA, "rapidocr", 2).of(blocks.WORD, 1),
        blocks.BlockNames(SHA, "rapidocr", 1).of(blocks.LINE, 1),
        blocks.BlockNames(SHA, "rapidocr", 1).of(blocks.WORD, 2),
    ]
    assert len({first, *others}) == 6
    assert blocks.BlockNames(SHA, "rapidocr", 1).count(blocks.WORD, 2) == [first, others[-1]]


def test_assemble_does_not_depend_on_the_order_of_lines() -> None:
    """An engine that finds the same lines in another order gives byte-identical blocks."""
    assert assemble(LINES, _frame()) == assemble(LINES[::-1], _frame())


def test_assemble_links_words_to_lines_to_the_page() -> None:
    """Every word hangs under its line, every line under the page, and texts stand in reading order."""
    made = assemble(LINES, _frame()).blocks
    page, lines, words = made[0], made[1:3], made[3:]
    assert [line.text for line in lines] == ["first line", "second line"]
    assert [word.text for word in words] == ["first", "line", "second", "line"]
    assert page.parent_id is None
    assert {line.parent_id for line in lines} == {page.id}
    assert [word.parent_id for word in words] == [lines[0].id, lines[0].id, lines[1].id, lines[1].id]
    assert [word.reading_order for word in words] == [1, 2, 3, 4]


def test_assemble_gives_coordinates_of_the_page_from_0_to_1() -> None:
    """Boxes are shares of the page, and what sticks out of it is cut off."""
    line = assemble([_line("out", Box(50, 100, 150, 120))], _frame()).blocks[1]
    assert (line.left, line.top, line.width, line.height) == (0.5, 0.5, 0.5, 0.1)
    assert line.polygon == (0.5, 0.5, 1.0, 0.5, 1.0, 0.6, 0.5, 0.6)


def test_assemble_turns_a_page_upright() -> None:
    """Lines found on a page that lies on its side get the coordinates and order of the upright page."""
    upright = assemble(LINES, _frame())
    for degrees in (90, 180, 270):
        turned = [
            Line(
                tuple(Word(w.text, w.confidence, turn_quad(w.quad, degrees, 100, 200)) for w in line.words),
                line.confidence,
                turn_quad(line.quad, degrees, 100, 200),
            )
            for line in LINES
        ]
        size = (200, 100) if degrees in (90, 270) else (100, 200)
        found = assemble(turned, _frame(*size))
        assert found.rotation == 360 - degrees
        assert found.blocks == upright.blocks


def test_assemble_without_lines_is_a_page_alone() -> None:
    """A blank page still has its PAGE block, and no mean of nothing."""
    made = assemble([], _frame())
    assert [block.block_type for block in made.blocks] == [blocks.PAGE]
    assert made.mean_confidence is None
