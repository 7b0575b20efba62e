"""The words of a page's text layer, where they stand, and what speaks against believing them."""

from __future__ import annotations

import ctypes
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_lakehouse.ocr import trust
from airflow_lakehouse.ocr.geometry import Box, Quad, quad_of, quarter, turn_box, turn_quad, turned_size
from airflow_lakehouse.ocr.text_lines import GUESSED_SPACE, SPACE, Glyph, lines_of
from airflow_lakehouse.ocr.trust import Facts

if TYPE_CHECKING:
    import pypdfium2 as pdfium

    from airflow_lakehouse.ocr.engine import Line

NAME: Final = "text_layer"
_FIRST_HALVES: Final = range(0xD800, 0xDC00)
_SECOND_HALVES: Final = range(0xDC00, 0xE000)
"""Of UTF-16 surrogate pairs, which PDFium gives as two characters."""
_INVISIBLE: Final = (3, 7)
"""PDF text render modes that draw nothing: invisible, and add to the clipping path."""
_HYPHEN: Final = "\x02"
"""What PDFium gives for a hyphen at the end of a line."""
_NARROW: Final = 0.6
"""Advance over height below which a glyph is too narrow for Han, Hangul or kana."""
_MAX_DEPTH: Final = 8
_MAX_OBJECTS: Final = 20_000


class Displayed(NamedTuple):
    """The page as a viewer shows it, after its own rotation and crop box.

    :param bbox: the visible rectangle, in the page's coordinates.
    :param rotation: the page's ``/Rotate``: 0, 90, 180, 270.
    :param width: points.
    :param height: points.
    """

    bbox: tuple[float, float, float, float]
    rotation: int
    width: float
    height: float

    @classmethod
    def of(cls, page: pdfium.PdfPage) -> Displayed:
        """Measure a page.

        :param page: a loaded page.
        """
        width, height = page.get_size()
        return cls(page.get_bbox(), page.get_rotation() % 360, width, height)

    def box(self, left: float, bottom: float, right: float, top: float) -> Box:
        """Return a rectangle of the page's coordinates as displayed: y down from the top left corner.

        :param left: left edge.
        :param bottom: bottom edge.
        :param right: right edge.
        :param top: top edge.
        """
        page_left, page_bottom, page_right, page_top = self.bbox
        if not self.rotation:  # Asked for every character.
            return Box(left - page_left, page_top - top, right - page_left, page_top - bottom)
        width, height = page_right - page_left, page_top - page_bottom
        turned = Box(left - page_left, page_top - top, right - page_left, page_top - bottom)
        return turn_box(turned, self.rotation, width, height)


@dataclass
class TextLayer:
    """What a page's text layer holds.

    :param lines: in points of the displayed page.
    :param facts: for :func:`airflow_lakehouse.ocr.trust.judge`.
    """

    lines: list[Line]
    facts: Facts


@dataclass(frozen=True, slots=True)
class _Run:
    """What all characters of one text object share."""

    hidden: bool
    angle: int


@dataclass
class _Reader:
    page: pdfium.PdfPage
    displayed: Displayed
    facts: Facts = field(default_factory=Facts)
    beneath: set[int] = field(default_factory=set)
    runs: dict[int, _Run] = field(default_factory=dict)


def read(page: pdfium.PdfPage, displayed: Displayed) -> TextLayer:
    """Read a page's text layer.

    :param page: a loaded page.
    :param displayed: its measures.
    """
    reader = _Reader(page, displayed)
    _look_at_objects(reader)
    by_angle = _glyphs(reader)
    lines: list[Line] = []
    for angle, glyphs in sorted(by_angle.items()):
        size = turned_size(_back(angle), displayed.width, displayed.height)
        lines += lines_of(glyphs, lambda box, a=angle, s=size: _placed(box, a, s))  # type: ignore[misc]
    return TextLayer(lines, reader.facts)


def _back(angle: int) -> int:
    """Return the turn that makes text of an angle run to the right."""
    return (360 - angle) % 360


def _placed(box: Box, angle: int, size: tuple[float, float]) -> Quad:
    return turn_quad(quad_of(box), angle, *size)


def _look_at_objects(reader: _Reader) -> None:
    """Find how much of the page images cover, and which text lies beneath one that covers it."""
    from pypdfium2 import raw

    texts: list[int] = []
    page_box = Box(0, 0, reader.displayed.width, reader.displayed.height)
    area = max(1e-6, page_box.width * page_box.height)
    kinds = [raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_IMAGE]
    for count, found in enumerate(reader.page.get_objects(filter=kinds, max_depth=_MAX_DEPTH)):
        if count >= _MAX_OBJECTS:
            break
        if found.type == raw.FPDF_PAGEOBJ_TEXT:
            texts.append(_address(found.raw))
            continue
        share = _visible_area(reader.displayed.box(*found.get_bounds()), page_box) / area
        reader.facts.image_cover = min(1.0, reader.facts.image_cover + share)
        if share >= trust.COVERING_IMAGE:
            reader.beneath.update(texts)


def _visible_area(box: Box, page: Box) -> float:
    width = min(box.right, page.right) - max(box.left, page.left)
    height = min(box.bottom, page.bottom) - max(box.top, page.top)
    return max(0.0, width) * max(0.0, height)


def _address(pointer: Any) -> int:
    return ctypes.addressof(pointer.contents)


def _glyphs(reader: _Reader) -> dict[int, list[Glyph]]:
    """Return the page's characters in the file's order, turned so that their text runs to the right."""
    from pypdfium2 import raw

    text_page = reader.page.get_textpage()
    by_angle: dict[int, list[Glyph]] = defaultdict(list)
    rect = raw.FS_RECTF()
    width, height = reader.displayed.width, reader.displayed.height
    angle = pair = 0
    for index in range(text_page.count_chars()):
        code = raw.FPDFText_GetUnicode(text_page, index)
        if code in _FIRST_HALVES:
            pair = code
            continue
        if pair and code in _SECOND_HALVES:
            code = 0x10000 + ((pair - _FIRST_HALVES.start) << 10) + (code - _SECOND_HALVES.start)
        pair = 0
        character = _character(code)
        if character.isspace():
            generated = raw.FPDFText_IsGenerated(text_page, index) == 1
            by_angle[angle].append(GUESSED_SPACE if generated else SPACE)
            continue
        if not raw.FPDFText_GetLooseCharBox(text_page, index, rect):
            continue
        box = reader.displayed.box(rect.left, rect.bottom, rect.right, rect.top)
        if not (0 <= (box.left + box.right) / 2 <= width and 0 <= box.middle <= height):
            continue  # Outside the crop box: nobody sees it.
        run = _run(reader, text_page, index)
        angle = run.angle
        upright = turn_box(box, _back(angle), width, height)
        _note(reader.facts, character, upright, run, raw.FPDFText_HasUnicodeMapError(text_page, index) == 1)
        by_angle[angle].append(Glyph(character, upright))
    return by_angle


def _character(code: int) -> str:
    if chr(code) == _HYPHEN:
        return "-"
    if code in (0, 0x09, 0x0A, 0x0B, 0x0C, 0x0D):
        return " "
    return "\ufffd" if code in _FIRST_HALVES or code in _SECOND_HALVES else chr(code)


def _run(reader: _Reader, text_page: Any, index: int) -> _Run:
    from pypdfium2 import raw

    found = raw.FPDFText_GetTextObject(text_page, index)
    address = _address(found) if found else 0
    if address not in reader.runs:
        hidden = bool(found) and (raw.FPDFTextObj_GetTextRenderMode(found) in _INVISIBLE or address in reader.beneath)
        # PDFium measures against the page's own axes; the page's rotation comes on top, clockwise.
        angle = math.degrees(raw.FPDFText_GetCharAngle(text_page, index))
        if raw.FPDFText_GetFontSize(text_page, index) < 0:  # Drawn upside down, which the angle does not say.
            angle += 180
        reader.runs[address] = _Run(hidden, quarter(angle + reader.displayed.rotation))
    return reader.runs[address]


def _note(facts: Facts, character: str, box: Box, run: _Run, unmapped: bool) -> None:
    facts.characters += 1
    facts.hidden += run.hidden
    facts.bad += unmapped or trust.is_bad(character)
    if character.isascii():
        lower = character.lower()
        facts.latin += lower.isalpha()
        facts.vowels += lower in "aeiouy"
    elif trust.is_wide(character):
        facts.wide += 1
        facts.narrow_wide += box.width < _NARROW * box.height
