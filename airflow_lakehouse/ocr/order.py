"""The order in which a person reads a page.

Rows from top to bottom and left to right, except where the page is set in columns of running text: those are read
one after the other. A line that crosses the gutter, such as a heading over two columns, ends a band of columns and
begins the next. A table is not columns of running text: its cells are short, and its rows belong together.
"""

from __future__ import annotations

import unicodedata
from statistics import median
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.ocr.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_BINS: Final = 256
_COLUMN_LINES: Final = 3
"""Fewer lines than this beside each other are not columns."""
_COLUMN_ASPECT: Final = 7.0
"""Width of a column's middling line over its height, about fourteen characters: cells of a table are shorter."""
_CROSSING: Final = 0.6
"""Share of the lines that may cross a gutter before it is none."""
_DEPTH: Final = 12


def reading_order(boxes: Sequence[Box], *, right_to_left: bool = False) -> list[int]:
    """Return the indices of lines in reading order.

    :param boxes: the lines, on an upright page without slant.
    :param right_to_left: the page is mostly in a script that runs to the left.
    """
    if right_to_left:
        boxes = [Box(-box.right, box.top, -box.left, box.bottom) for box in boxes]
    return _order(list(range(len(boxes))), boxes, _DEPTH)


def is_right_to_left(lines: Iterable[str]) -> bool:
    """Tell whether most letters of a page are of a script that runs to the left.

    :param lines: its lines.
    """
    balance = 0
    for line in lines:
        if line.isascii():
            balance -= len(line)
            continue
        for character in line[:200]:
            kind = unicodedata.bidirectional(character)
            balance += (kind in ("R", "AL")) - (kind == "L")
    return balance > 0


def rows(indices: Sequence[int], boxes: Sequence[Box]) -> list[list[int]]:
    """Group lines that stand beside each other, top to bottom, each row left to right.

    :param indices: which of the boxes.
    :param boxes: the lines.
    """
    found: list[list[int]] = []
    reference = Box(0, 0, 0, 0)
    for index in sorted(indices, key=lambda i: (boxes[i].middle, boxes[i].left, i)):
        box = boxes[index]
        # Against the row's first line, not its last: a slanted table would otherwise chain into one row.
        if found and box.middle - reference.middle < 0.5 * min(box.height, reference.height):
            found[-1].append(index)
        else:
            found.append([index])
            reference = box
    return [sorted(row, key=lambda i: (boxes[i].left, i)) for row in found]


def _order(indices: list[int], boxes: Sequence[Box], depth: int) -> list[int]:
    gutter = _gutter(indices, boxes) if depth and len(indices) >= 2 * _COLUMN_LINES else None
    if gutter is None:
        return [index for row in rows(indices, boxes) for index in row]
    ordered: list[int] = []
    band: list[int] = []
    for index in sorted(indices, key=lambda i: (boxes[i].middle, i)):
        if _side(boxes[index], gutter):
            band.append(index)
        else:
            ordered += [*_band(band, boxes, gutter, depth), index]
            band = []
    return ordered + _band(band, boxes, gutter, depth)


def _band(indices: list[int], boxes: Sequence[Box], gutter: float, depth: int) -> list[int]:
    ordered = []
    for side in (-1, 1):
        part = [i for i in indices if _side(boxes[i], gutter) == side]
        ordered += _order(part, boxes, depth - 1)
    return ordered


def _side(box: Box, gutter: float) -> int:
    # A tenth of the line's height of slack: boxes of OCR are a little wider than the ink.
    left, top, right, bottom = box
    slack = 0.1 * (bottom - top)
    if right <= gutter + slack:
        return -1
    return 1 if left >= gutter - slack else 0


def _gutter(indices: list[int], boxes: Sequence[Box]) -> float | None:
    """Return the x that fewest lines cross, if columns of running text stand on both sides of it."""
    left = min(boxes[i].left for i in indices)
    width = max(boxes[i].right for i in indices) - left
    if width <= 0:
        return None
    crossings = _crossings(indices, boxes, left, width)
    for start, end in _valleys(crossings[: _BINS * 9 // 10], _BINS // 10):
        gutter = left + (start + end + 1) / 2 * width / _BINS
        if _are_columns(indices, boxes, gutter):
            return gutter
    return None


def _crossings(indices: list[int], boxes: Sequence[Box], left: float, width: float) -> list[int]:
    steps = [0] * (_BINS + 1)
    for i in indices:
        start = int((boxes[i].left - left) / width * _BINS)
        end = min(_BINS - 1, int((boxes[i].right - left) / width * _BINS))
        steps[start] += 1
        steps[end + 1] -= 1
    total, counts = 0, []
    for step in steps[:_BINS]:
        total += step
        counts.append(total)
    return counts


def _valleys(crossings: list[int], start: int) -> list[tuple[int, int]]:
    """Return the widest stretches that fewest lines cross, as first and last bin, best first."""
    fewest = min(crossings[start:])
    found: list[tuple[int, int]] = []
    for place in range(start, len(crossings)):
        if crossings[place] != fewest:
            continue
        if found and found[-1][1] == place - 1:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return sorted(found, key=lambda run: (run[0] - run[1], run[0]))[:4]


def _are_columns(indices: list[int], boxes: Sequence[Box], gutter: float) -> bool:
    sides: dict[int, list[Box]] = {-1: [], 1: []}
    crossing, most = 0, _CROSSING * len(indices)
    for i in indices:
        side = _side(boxes[i], gutter)
        if side:
            sides[side].append(boxes[i])
            continue
        crossing += 1
        if crossing > most:
            return False
    for side in (-1, 1):
        if len(sides[side]) < _COLUMN_LINES:
            return False
        height = median([bottom - top for _, top, _, bottom in sides[side]])
        if height <= 0 or median([right - left for left, _, right, _ in sides[side]]) < _COLUMN_ASPECT * height:
            return False
    tops = [min(box.top for box in sides[side]) for side in (-1, 1)]
    bottoms = [max(box.bottom for box in sides[side]) for side in (-1, 1)]
    shared = min(bottoms) - max(tops)
    return shared > 0.3 * min(bottom - top for bottom, top in zip(bottoms, tops, strict=True))
