"""Quads, and turning a page upright. Everywhere: x to the right, y down, from the top left."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]
"""Corners in text order: the text's top left, top right, bottom right, bottom left."""

_STRAIGHT: Final = 0.05
"""Degrees of slant that move a line by less than a tenth of its height over the width of a page."""


class Box(NamedTuple):
    """An upright rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Width."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height."""
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """Vertical centre."""
        return (self.top + self.bottom) / 2


def box_of(quad: Iterable[Point]) -> Box:
    """Return the smallest upright rectangle around some points.

    :param quad: at least one point.
    """
    xs, ys = zip(*quad, strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))


def quad_of(box: Box) -> Quad:
    """Return the corners of an upright rectangle.

    :param box: the rectangle.
    """
    return ((box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom))


def around(boxes: Iterable[Box]) -> Box:
    """Return the smallest rectangle around others.

    :param boxes: at least one.
    """
    every = list(boxes)
    return Box(
        min(box.left for box in every),
        min(box.top for box in every),
        max(box.right for box in every),
        max(box.bottom for box in every),
    )


def along(quad: Quad, start: float, end: float) -> Quad:
    """Return the part of a line's quad between two places along it.

    :param quad: the line.
    :param start: 0 to 1, in text direction.
    :param end: 0 to 1, at least ``start``.
    """
    top_left, top_right, bottom_right, bottom_left = quad

    def between(a: Point, b: Point, share: float) -> Point:
        return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)

    return (
        between(top_left, top_right, start),
        between(top_left, top_right, end),
        between(bottom_left, bottom_right, end),
        between(bottom_left, bottom_right, start),
    )


def direction(quad: Quad) -> float:
    """Return the angle of the text in degrees, clockwise: 0 to the right, 90 downwards.

    :param quad: in text order.
    """
    (x0, y0), (x1, y1) = quad[0], quad[1]
    return math.degrees(math.atan2(y1 - y0, x1 - x0)) % 360


def quarter(angle: float) -> int:
    """Return the nearest of 0, 90, 180, 270.

    :param angle: degrees.
    """
    return round((angle % 360) / 90) % 4 * 90


def turn_needed(lines: Iterable[tuple[Quad, int]]) -> int:
    """Return the clockwise degrees by which a page must be turned for most of its text to run to the right.

    :param lines: quad and number of characters of each line.
    """
    weights: Counter[int] = Counter()
    for quad, characters in lines:
        weights[quarter(direction(quad))] += max(1, characters)
    if not weights:
        return 0
    # Ties go to the smaller turn, so that the outcome does not depend on the order of the lines.
    most = max(weights.values())
    return (360 - min(angle for angle, weight in weights.items() if weight == most)) % 360


def turn(point: Point, degrees: int, width: float, height: float) -> Point:
    """Return a point of a page after the page was turned clockwise.

    :param point: on the page as it is.
    :param degrees: 0, 90, 180 or 270.
    :param width: of the page as it is.
    :param height: of the page as it is.
    """
    x, y = point
    if degrees == 0:
        return (x, y)
    if degrees == 90:  # noqa: PLR2004 - a right angle
        return (height - y, x)
    return (width - x, height - y) if degrees == 180 else (y, width - x)  # noqa: PLR2004 - half a turn


def turn_box(box: Box, degrees: int, width: float, height: float) -> Box:
    """Return an upright rectangle after its page was turned clockwise.

    :param box: on the page as it is.
    :param degrees: 0, 90, 180 or 270.
    :param width: of the page as it is.
    :param height: of the page as it is.
    """
    if not degrees:
        return box
    (x0, y0), (x1, y1) = (turn(p, degrees, width, height) for p in ((box.left, box.top), (box.right, box.bottom)))
    return Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def turn_quad(quad: Quad, degrees: int, width: float, height: float) -> Quad:
    """Return a quad after the page was turned clockwise; its corners stay in text order.

    :param quad: on the page as it is.
    :param degrees: 0, 90, 180 or 270.
    :param width: of the page as it is.
    :param height: of the page as it is.
    """
    if not degrees:
        return quad
    a, b, c, d = (turn(point, degrees, width, height) for point in quad)
    return (a, b, c, d)


def turned_size(degrees: int, width: float, height: float) -> tuple[float, float]:
    """Return width and height of a page after it was turned.

    :param degrees: 0, 90, 180 or 270.
    :param width: of the page as it is.
    :param height: of the page as it is.
    """
    return (height, width) if degrees in (90, 270) else (width, height)


def skew(quads: Sequence[Quad]) -> float:
    """Return the median slant of an upright page's lines, degrees between -45 and 45.

    :param quads: its lines; short ones are ignored, because their angle is mostly noise.
    """
    angles = []
    for quad in quads:
        (x0, y0), (x1, y1) = quad[0], quad[1]
        if x1 - x0 > 3 * abs(quad[3][1] - y0):
            angles.append(math.degrees(math.atan2(y1 - y0, x1 - x0)))
    return sorted(angles)[len(angles) // 2] if angles else 0.0


def straightened(quads: Sequence[Quad], degrees: float) -> list[Box]:
    """Return the boxes quads would have if the page were not slanted.

    :param quads: the lines.
    :param degrees: the page's :func:`skew`.
    """
    if abs(degrees) < _STRAIGHT:
        return [box_of(quad) for quad in quads]
    sine, cosine = math.sin(math.radians(-degrees)), math.cos(math.radians(-degrees))
    return [box_of([(x * cosine - y * sine, x * sine + y * cosine) for x, y in quad]) for quad in quads]
