from __future__ import annotations

import itertools
import time

import pytest

from airflow_lakehouse.ocr.geometry import Box
from airflow_lakehouse.ocr.order import reading_order


def _column(left: float, width: float, top: float, lines: int) -> list[Box]:
    return [Box(left, top + 12 * i, left + width * (0.85 + 0.15 * (i % 2)), top + 12 * i + 10) for i in range(lines)]


def _is_in_order(boxes: list[Box], **options: bool) -> bool:
    """Shuffle boxes that are given in the expected order, and tell whether they come out in it."""
    # A fixed disorder: every place, seven steps apart modulo a number that shares no factor with seven.
    size = next(size for size in itertools.count(len(boxes)) if size % 7)
    places = [place for step in range(size) if (place := 7 * step % size) < len(boxes)]
    found = reading_order([boxes[place] for place in places], **options)
    return [places[index] for index in found] == list(range(len(boxes)))


def test_one_column_is_read_from_the_top() -> None:
    """Lines of a letter come out from top to bottom."""
    assert _is_in_order(_column(50, 400, 50, 20))


def test_two_columns_are_read_one_after_the_other() -> None:
    """Columns of running text are not interleaved, even with their lines on one height."""
    assert _is_in_order(_column(50, 200, 50, 20) + _column(270, 200, 50, 20))


def test_three_columns_of_unequal_length() -> None:
    """A third column, and one that ends early, keep their places."""
    assert _is_in_order(_column(50, 130, 50, 30) + _column(200, 130, 50, 18) + _column(350, 130, 55, 30))


def test_headings_across_columns_part_the_bands() -> None:
    """A heading over both columns is read before them, and one between them after the upper ones."""
    top, middle = [Box(50, 20, 470, 40)], [Box(50, 300, 470, 315)]
    upper = _column(50, 200, 50, 15) + _column(270, 200, 50, 15)
    lower = _column(50, 200, 330, 15) + _column(270, 200, 330, 15)
    assert _is_in_order(top + upper + middle + lower)


def test_a_table_is_read_by_rows() -> None:
    """Cells are short: a laboratory table is read result by result, not column by column."""
    cells = [Box(50 + 110 * c, 50 + 15 * r, 50 + 110 * c + 45, 60 + 15 * r) for r in range(12) for c in range(4)]
    assert _is_in_order(cells)


def test_labels_and_values_are_read_by_rows() -> None:
    """A form with short labels on the left keeps each value behind its label."""
    boxes = [box for i in range(10) for box in (Box(50, 20 * i, 110, 20 * i + 10), Box(150, 20 * i, 400, 20 * i + 10))]
    assert _is_in_order(boxes)


def test_right_to_left_reads_the_right_column_first() -> None:
    """On a page of Arabic the right column comes first."""
    mirrored = [Box(520 - box.right, box.top, 520 - box.left, box.bottom) for box in _column(50, 200, 50, 9)]
    assert _is_in_order(mirrored + _column(50, 200, 50, 9), right_to_left=True)


@pytest.mark.parametrize("boxes", [[], [Box(0, 0, 0, 0)], [Box(5, 5, 5, 5)] * 8])
def test_degenerate_boxes_are_all_kept(boxes: list[Box]) -> None:
    """Nothing is lost, and nothing divides by zero, where boxes have no extent."""
    assert sorted(reading_order(boxes)) == list(range(len(boxes)))


def test_time_grows_linearly() -> None:
    """Four times the lines take far less than sixteen times the time."""

    def seconds(lines: int) -> float:
        boxes = _column(50, 200, 50, lines) + _column(270, 200, 50, lines)
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            reading_order(boxes)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(8000) < 10 * seconds(2000)
