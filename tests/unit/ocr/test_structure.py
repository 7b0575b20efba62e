from __future__ import annotations

import time
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pypdfium2 as pdfium
import pytest
from reportlab.pdfgen.canvas import Canvas

from airflow_lakehouse.ocr.geometry import Box
from airflow_lakehouse.ocr.reader import read_document
from airflow_lakehouse.ocr.ruled import grids
from airflow_lakehouse.ocr.ruled_image import rules_in

if TYPE_CHECKING:
    from airflow_lakehouse.ocr.blocks import Block


def _rules(xs: tuple[float, ...], ys: tuple[float, ...]) -> list[Box]:
    across = [Box(xs[0], y, xs[-1], y) for y in ys]
    return across + [Box(x, ys[0], x, ys[-1]) for x in xs]


def _table(*, grid: bool = True, turned: int = 0) -> list[Block]:
    """Draw a table of two columns and three rows, the first one cell wide, with running text below."""
    data = BytesIO()
    canvas = Canvas(data, pagesize=(400, 600), invariant=True)
    canvas.drawString(130, 505, "Laboratory results")
    for row, (name, value) in enumerate((("Sodium", "139"), ("Potassium", "4.1"))):
        canvas.drawString(110, 485 - 20 * row, name)
        canvas.drawString(210, 485 - 20 * row, value)
    canvas.drawString(50, 300, "Nothing of this stands in the table, and all of it is text that is to be believed.")
    if grid:
        canvas.grid([100, 200, 300], [460, 480, 500])
        canvas.rect(100, 500, 200, 20)
    else:
        canvas.rect(100, 460, 200, 60)
    canvas.save()
    if turned:
        document = pdfium.PdfDocument(data.getvalue())
        document[0].set_rotation(turned)
        data = BytesIO()
        document.save(data)
        document.close()
    (read,) = read_document(data.getvalue(), engine="none").page_reads
    return list(read.blocks)


def test_a_ruled_table_has_cells_in_textracts_shape() -> None:
    """Every place of the grid is a cell of one by one; what has no rule inside is a merged cell of them."""
    blocks = _table()
    by_id = {block.id: block for block in blocks}
    (table,) = (block for block in blocks if block.block_type == "TABLE")
    cells = [block for block in blocks if block.block_type == "CELL"]
    assert [(one.row_index, one.column_index, one.text) for one in cells[2:]] == [
        (2, 1, "Sodium"),
        (2, 2, "139"),
        (3, 1, "Potassium"),
        (3, 2, "4.1"),
    ]
    assert {(one.row_span, one.column_span) for one in cells} == {(1, 1)}
    (merged,) = (block for block in blocks if block.block_type == "MERGED_CELL")
    assert (merged.text, merged.row_index, merged.column_span) == ("Laboratory results", 1, 2)
    assert [cell.parent_ids for cell in cells[:2]] == [(table.id, merged.id)] * 2
    assert (table.left, table.top) == pytest.approx((0.25, 80 / 600), abs=1e-3)
    sodium = next(block for block in blocks if block.block_type == "WORD" and block.text == "Sodium")
    assert [by_id[one].block_type for one in sodium.parent_ids] == ["LINE", "CELL"]


def test_a_page_on_its_side_has_the_same_table() -> None:
    """Rules turn with the text: types, text and places are those of the upright page."""
    upright, turned = _table(), _table(turned=90)
    for a, b in zip(upright, turned, strict=True):
        assert (b.block_type, b.text, b.row_index) == (a.block_type, a.text, a.row_index)
        assert b.polygon == pytest.approx(a.polygon, abs=1e-4)


def test_a_frame_is_no_table() -> None:
    """One cell around anything is a frame."""
    assert {block.block_type for block in _table(grid=False)} == {"PAGE", "LINE", "WORD"}


def test_two_tables_are_two() -> None:
    """Grids that do not touch are tables of their own; the upper comes first."""
    found = grids([*_rules((0.1, 0.3, 0.5), (0.6, 0.7)), *_rules((0.1, 0.5), (0.1, 0.2, 0.3))], 1, 1)
    assert [(grid.box.top, len(grid.cells)) for grid in found] == [(0.1, 2), (0.6, 2)]


def test_hatching_costs_no_time() -> None:
    """Thousands of rules, as drawings are made of, are given up on."""
    started = time.monotonic()
    assert grids(_rules(tuple(n / 300 for n in range(300)), tuple(n / 300 for n in range(300))), 1, 1) == []
    assert grids([Box(0, n / 5000, 1, n / 5000) for n in range(5000)], 1, 1) == []
    assert time.monotonic() - started < 2


def test_rules_are_found_in_an_image() -> None:
    """A grid drawn two pixels wide is found as such; strokes as short as letters are not."""
    image = np.full((1000, 800, 3), 255, np.uint8)
    for y in (100, 200, 300):
        image[y : y + 2, 100:700] = 0
    for x in (100, 400, 698):
        image[100:302, x : x + 2] = 0
    image[500:520, 300:304] = 0
    (grid,) = grids(rules_in(image), 800, 1000)
    assert [(cell.row, cell.column) for cell in grid.cells] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert not grid.merged


def test_fields_of_a_form_are_keys_and_values() -> None:
    """What was filled in stands beside what it is called, and a box says whether it is ticked."""
    data = BytesIO()
    canvas = Canvas(data, pagesize=(400, 600), invariant=True)
    canvas.drawString(50, 550, "Intake form, to be filled in by the patient before the visit to the clinic")
    canvas.acroForm.textfield(
        name="family", tooltip="Family name", value="Lovelace", x=100, y=500, width=200, height=20
    )
    canvas.acroForm.textfield(name="given", value="", x=100, y=470, width=200, height=20)
    canvas.acroForm.checkbox(name="smoker", tooltip="Smoker", checked=True, x=100, y=440, size=20)
    canvas.acroForm.checkbox(name="diabetic", tooltip="Diabetic", checked=False, x=100, y=410, size=20)
    canvas.save()
    (read,) = read_document(data.getvalue(), engine="none").page_reads
    values = [block for block in read.blocks if "VALUE" in block.entity_types]
    assert [(one.key_text, one.text, one.selection_status) for one in values] == [
        ("Family name", "Lovelace", None),
        ("given", None, None),
        ("Smoker", None, "SELECTED"),
        ("Diabetic", None, "NOT_SELECTED"),
    ]
    by_id = {block.id: block for block in read.blocks}
    for value in values:
        assert by_id[value.parent_id or ""].text == value.key_text
    assert (values[0].left, values[0].top) == pytest.approx((0.25, 80 / 600), abs=0.01)
    boxes = [block for block in read.blocks if block.block_type == "SELECTION_ELEMENT"]
    assert [box.selection_status for box in boxes] == ["SELECTED", "NOT_SELECTED"]
    assert {block.confidence_source for block in (*values, *boxes)} == {"form_field"}
