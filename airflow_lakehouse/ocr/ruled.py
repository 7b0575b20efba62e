"""Tables from ruled lines: the grid that horizontal and vertical rules make, and its cells.

Rules come as thin boxes, from a PDF's own paths or from the image of a page. Those that touch make one grid; two cells
without a rule between them are one merged cell. A frame around something is no table: it has one cell.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_lakehouse.ocr.geometry import Box, around

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SNAP: Final = 0.004
"""Share of the page's longer side within which two rules are one, and a rule reaches another."""
_SHORTEST: Final = 0.01
_COVERED: Final = 0.6
"""Share of a cell's side that must be ruled for it to be an edge."""
_MOST_RULES: Final = 2_000
_MOST_CELLS: Final = 5_000
"""Hatching and drawings are made of rules, too."""


class Cell(NamedTuple):
    """One cell of the grid.

    :param row: 1-based.
    :param column: 1-based.
    :param box: where it is.
    """

    row: int
    column: int
    box: Box


@dataclass(frozen=True, slots=True)
class Grid:
    """One table.

    :param box: where it is.
    :param cells: every cell of the grid, row by row.
    :param merged: groups of two or more of them without a rule between, each a rectangle.
    """

    box: Box
    cells: tuple[Cell, ...]
    merged: tuple[tuple[Cell, ...], ...]


class _Rule(NamedTuple):
    """A rule along an axis.

    :param at: where it crosses the other axis.
    :param start: where it begins.
    :param end: where it ends.
    """

    at: float
    start: float
    end: float


def grids(rules: Sequence[Box], width: float, height: float) -> list[Grid]:
    """Return the tables that rules make, top to bottom.

    :param rules: thin boxes, on an upright page.
    :param width: of the page.
    :param height: of the page.
    """
    side = max(width, height)
    snap, shortest = _SNAP * side, _SHORTEST * side
    if not 4 <= len(rules) <= _MOST_RULES:  # noqa: PLR2004 - sides of a cell
        return []
    across = _joined((_Rule(box.middle, box.left, box.right) for box in rules if box.width >= box.height), snap)
    down = _joined(
        (_Rule((box.left + box.right) / 2, box.top, box.bottom) for box in rules if box.height > box.width), snap
    )
    across = [rule for rule in across if rule.end - rule.start >= shortest]
    down = [rule for rule in down if rule.end - rule.start >= shortest]
    found = [_grid(h, v, snap) for h, v in _groups(across, down, snap)]
    return sorted((grid for grid in found if grid), key=lambda grid: (grid.box.top, grid.box.left))


def _joined(rules: Iterable[_Rule], snap: float) -> list[_Rule]:
    """Join pieces of one rule: cell by cell drawn, or broken by a scan."""
    joined: list[_Rule] = []
    level: list[_Rule] = []
    for rule in sorted(rules):
        if level and rule.at - level[0].at > snap:
            joined += _end_to_end(level, snap)
            level = []
        level.append(rule)
    return joined + _end_to_end(level, snap)


def _end_to_end(level: list[_Rule], snap: float) -> list[_Rule]:
    joined: list[_Rule] = []
    for rule in sorted(level, key=lambda one: one.start):
        if joined and rule.start <= joined[-1].end + 2 * snap:
            joined[-1] = joined[-1]._replace(end=max(joined[-1].end, rule.end))
        else:
            joined.append(rule)
    return joined


def _groups(across: list[_Rule], down: list[_Rule], snap: float) -> list[tuple[list[_Rule], list[_Rule]]]:
    """Return rules that hang together, each across with each down that it touches."""
    group = _Groups(len(across) + len(down))
    ats = [rule.at for rule in across]
    for place, rule in enumerate(down, len(across)):
        for other in range(bisect_left(ats, rule.start - snap), len(across)):
            if ats[other] > rule.end + snap:
                break
            if across[other].start - snap <= rule.at <= across[other].end + snap:
                group.unite(place, other)
    parts: dict[int, tuple[list[_Rule], list[_Rule]]] = {}
    for place, rule in enumerate([*across, *down]):
        parts.setdefault(group.of(place), ([], []))[place >= len(across)].append(rule)
    return list(parts.values())


def _grid(across: list[_Rule], down: list[_Rule], snap: float) -> Grid | None:
    ys, xs = _levels(across, snap), _levels(down, snap)
    rows, columns = len(ys) - 1, len(xs) - 1
    if rows < 1 or columns < 1 or rows * columns < 2 or rows * columns > _MOST_CELLS:  # noqa: PLR2004 - a frame
        return None
    cells = [Cell(r + 1, c + 1, Box(xs[c], ys[r], xs[c + 1], ys[r + 1])) for r in range(rows) for c in range(columns)]
    group = _Groups(len(cells))
    for place, cell in enumerate(cells):
        if cell.column < columns and not _is_ruled(down, cell.box.right, (cell.box.top, cell.box.bottom), snap):
            group.unite(place, place + 1)
        if cell.row < rows and not _is_ruled(across, cell.box.bottom, (cell.box.left, cell.box.right), snap):
            group.unite(place, place + columns)
    parts: dict[int, list[Cell]] = {}
    for place, cell in enumerate(cells):
        parts.setdefault(group.of(place), []).append(cell)
    if len(parts) < 2:  # noqa: PLR2004 - a frame
        return None
    merged = tuple(tuple(part) for part in parts.values() if len(part) > 1 and _is_rectangle(part))
    return Grid(around(cell.box for cell in cells), tuple(cells), merged)


class _Groups:
    """Which of some things belong together."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def of(self, place: int) -> int:
        """Return the group of a thing, named by its first one."""
        above = self._above
        while above[place] != place:
            above[place] = above[above[place]]
            place = above[place]
        return place

    def unite(self, a: int, b: int) -> None:
        """Say that two belong together."""
        a, b = self.of(a), self.of(b)
        self._above[max(a, b)] = min(a, b)


def _levels(rules: list[_Rule], snap: float) -> list[float]:
    levels: list[float] = []
    for rule in sorted(rules):
        if not levels or rule.at - levels[-1] > snap:
            levels.append(rule.at)
    return levels


def _is_ruled(rules: list[_Rule], at: float, span: tuple[float, float], snap: float) -> bool:
    start, end = span
    covered = sum(max(0.0, min(rule.end, end) - max(rule.start, start)) for rule in rules if abs(rule.at - at) <= snap)
    return covered >= _COVERED * (end - start)


def _is_rectangle(part: list[Cell]) -> bool:
    rows, columns = {cell.row for cell in part}, {cell.column for cell in part}
    return len(part) == len(rows) * len(columns)
