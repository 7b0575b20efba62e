from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_lakehouse.ocr import geometry
from airflow_lakehouse.ocr.geometry import Box, quad_of
from airflow_lakehouse.ocr.text_layer import Displayed

TURNS = st.sampled_from([0, 90, 180, 270])
PLACES = st.floats(0, 100)


@given(TURNS, PLACES, PLACES)
def test_turning_back_gives_the_point_again(degrees: int, x: float, y: float) -> None:
    """A quarter turn and its opposite cancel, whatever the page's shape."""
    turned = geometry.turn((x, y), degrees, 100, 300)
    size = geometry.turned_size(degrees, 100, 300)
    assert geometry.turn(turned, (360 - degrees) % 360, *size) == pytest.approx((x, y))


def test_turn_is_clockwise() -> None:
    """The top left corner of a page that is turned clockwise is then its top right corner."""
    assert geometry.turn((0, 0), 90, 100, 300) == (300, 0)


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_turn_needed_makes_text_run_to_the_right(angle: int) -> None:
    """Text of any quarter's direction runs to the right after the turn it is said to need."""
    quad = geometry.turn_quad(quad_of(Box(10, 10, 60, 20)), angle, 100, 300)
    size = geometry.turned_size(angle, 100, 300)
    degrees = geometry.turn_needed([(quad, 5)])
    assert geometry.direction(geometry.turn_quad(quad, degrees, *size)) == 0


def test_turn_needed_follows_most_characters() -> None:
    """A stamp on its side does not turn a page of text."""
    text = (quad_of(Box(10, 10, 60, 20)), 500)
    stamp = (geometry.turn_quad(quad_of(Box(10, 10, 60, 20)), 90, 100, 100), 20)
    assert geometry.turn_needed([stamp, text]) == 0
    assert geometry.turn_needed([]) == 0


def test_skew_is_the_slant_of_long_lines() -> None:
    """The slant of a page is that of its lines, and rotating by it makes their boxes flat."""
    slope = math.tan(math.radians(2))
    quads = [
        ((0.0, y), (200.0, y + 200 * slope), (200.0, y + 10 + 200 * slope), (0.0, y + 10)) for y in (0.0, 30.0, 60.0)
    ]
    assert geometry.skew(quads) == pytest.approx(2)
    assert geometry.straightened(quads, 2.0)[0].height < 11
    assert geometry.skew([]) == 0


def test_along_cuts_a_piece_out_of_a_line() -> None:
    """The second half of a line is the right half of its quad."""
    assert geometry.along(quad_of(Box(0, 0, 100, 10)), 0.5, 1.0) == quad_of(Box(50, 0, 100, 10))


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [(0, Box(10, 20, 30, 25)), (90, Box(175, 10, 180, 30)), (180, Box(70, 175, 90, 180)), (270, Box(20, 70, 25, 90))],
)
def test_displayed_box_honours_rotation_and_crop_box(rotation: int, expected: Box) -> None:
    """A rectangle of the page's own coordinates lands where a viewer shows it."""
    size = (200, 100) if rotation in (90, 270) else (100, 200)
    displayed = Displayed((50, 50, 150, 250), rotation, *size)
    # 10 to 30 from the crop box's left, 20 to 25 from its top.
    assert displayed.box(60, 225, 80, 230) == pytest.approx(expected)
