"""The words of a page's text layer, where they stand, and what speaks against believing them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_lakehouse.ocr import page_objects, trust
from airflow_lakehouse.ocr.geometry import Box, Quad, quad_of, quarter, turn_box, turn_quad, turned_size
from airflow_lakehouse.ocr.text_lines import GUESSED_SPACE, SPACE, Glyph, lines_of
from airflow_lakehouse.ocr.trust import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pypdfium2 as pdfium

    from airflow_lakehouse.ocr.model import Line

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

    def shows(self, box: Box) -> bool:
        """Tell whether the middle of a box is within the crop box; nobody sees what is outside.

        :param box: as displayed.
        """
        return 0 <= box.left + box.right <= 2 * self.width and 0 <= box.top + box.bottom <= 2 * self.height

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
    :param rules: ruled lines, as displayed.
    """

    lines: list[Line]
    facts: Facts
    rules: list[Box]


@dataclass(frozen=True, slots=True)
class _Run:
    """What all characters of one text object share."""

    hidden: bool
    angle: int


@dataclass
class _Reader:
    """One page's text page, by its bare pointer: PDFium's functions are called several times a character."""

    text_page: Any
    displayed: Displayed
    beneath: set[int]
    facts: Facts
    runs: dict[int, _Run] = field(default_factory=dict)


def read(page: pdfium.PdfPage, displayed: Displayed) -> TextLayer:
    """Read a page's text layer.

    :param page: a loaded page.
    :param displayed: its measures.
    """
    cover = page_objects.look_at(page, displayed.box, Box(0, 0, displayed.width, displayed.height))
    text_page = page.get_textpage()
    reader = _Reader(text_page.raw, displayed, cover.beneath, Facts(image_cover=cover.share))
    by_angle = _glyphs(reader, text_page.count_chars())
    lines: list[Line] = []
    for angle, glyphs in sorted(by_angle.items()):
        size = turned_size(_back(angle), displayed.width, displayed.height)
        lines += lines_of(glyphs, lambda box, a=angle, s=size: _placed(box, a, s))  # type: ignore[misc]
    return TextLayer(lines, reader.facts, cover.rules)


def _back(angle: int) -> int:
    """Return the turn that makes text of an angle run to the right."""
    return (360 - angle) % 360


def _placed(box: Box, angle: int, size: tuple[float, float]) -> Quad:
    return turn_quad(quad_of(box), angle, *size)


def _glyphs(reader: _Reader, count: int) -> dict[int, list[Glyph]]:
    """Return the page's characters in the file's order, turned so that their text runs to the right."""
    from pypdfium2 import raw

    page, displayed = reader.text_page, reader.displayed
    by_angle: dict[int, list[Glyph]] = defaultdict(list)
    rect = raw.FS_RECTF()
    angle = 0
    for index, character in _characters(page, count):
        if character == " ":
            generated = raw.FPDFText_IsGenerated(page, index) == 1
            by_angle[angle].append(GUESSED_SPACE if generated else SPACE)
            continue
        if not raw.FPDFText_GetLooseCharBox(page, index, rect):
            continue
        box = displayed.box(rect.left, rect.bottom, rect.right, rect.top)
        if not displayed.shows(box):
            continue
        found = raw.FPDFText_GetTextObject(page, index)
        address = page_objects.address_of(found) if found else 0
        run = reader.runs.get(address) or _run(reader, found, address, index)
        if run.angle:
            box = turn_box(box, _back(run.angle), displayed.width, displayed.height)
        angle = run.angle
        unmapped = raw.FPDFText_HasUnicodeMapError(page, index) == 1
        _note(reader.facts, character, box, hidden=run.hidden, unmapped=unmapped)
        by_angle[angle].append(Glyph(character, box))
    return by_angle


def _characters(page: Any, count: int) -> Iterator[tuple[int, str]]:
    """Yield place and character; every kind of white space as one space."""
    from pypdfium2 import raw

    pair = 0
    for index in range(count):
        code = raw.FPDFText_GetUnicode(page, index)
        if code in _FIRST_HALVES:
            pair = code
            continue
        if pair and code in _SECOND_HALVES:
            code = 0x10000 + ((pair - _FIRST_HALVES.start) << 10) + (code - _SECOND_HALVES.start)
        pair = 0
        yield index, _character(code)


@lru_cache(maxsize=4096)
def _character(code: int) -> str:
    if chr(code) == _HYPHEN:
        return "-"
    if code == 0 or chr(code).isspace():
        return " "
    return "\ufffd" if code in _FIRST_HALVES or code in _SECOND_HALVES else chr(code)


def _run(reader: _Reader, found: Any, address: int, index: int) -> _Run:
    from pypdfium2 import raw

    hidden = bool(found) and (raw.FPDFTextObj_GetTextRenderMode(found) in _INVISIBLE or address in reader.beneath)
    # PDFium measures against the page's own axes; the page's rotation comes on top, clockwise.
    angle = math.degrees(raw.FPDFText_GetCharAngle(reader.text_page, index))
    if raw.FPDFText_GetFontSize(reader.text_page, index) < 0:  # Drawn upside down, which the angle does not say.
        angle += 180
    run = _Run(hidden, quarter(angle + reader.displayed.rotation))
    if address:
        reader.runs[address] = run
    return run


def _note(facts: Facts, character: str, box: Box, *, hidden: bool, unmapped: bool) -> None:
    bad, wide, latin, vowel = _kind(character)
    facts.characters += 1
    facts.hidden += hidden
    facts.bad += unmapped or bad
    facts.latin += latin
    facts.vowels += vowel
    if wide:
        facts.wide += 1
        facts.narrow_wide += box.right - box.left < _NARROW * (box.bottom - box.top)


@lru_cache(maxsize=4096)
def _kind(character: str) -> tuple[bool, bool, bool, bool]:
    latin = character.isascii() and character.isalpha()
    return trust.is_bad(character), trust.is_wide(character), latin, latin and character.lower() in "aeiouy"
