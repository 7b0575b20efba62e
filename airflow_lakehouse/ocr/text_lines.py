"""Characters of a text layer to words and lines.

By where characters stand, not by their order in the file: generators write table cells, columns and even letters in
any order they like. Only the characters of one word are taken in the file's order, which is the order of speech in
every script.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_lakehouse.ocr.geometry import Box, Quad, around
from airflow_lakehouse.ocr.model import Line, Word
from airflow_lakehouse.ocr.order import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WORD_GAP: Final = 0.3
"""Gap over height at which the next character begins a new word."""
_TOUCHING: Final = 0.1
"""Gap over height below which two pieces are one word, in whatever order the file draws them."""
_OVERLAP: Final = -0.3
"""Gap over height below which two pieces lie upon each other and are not one word."""
_SAME_PLACE: Final = 0.06
"""Shift over height up to which a character is the same one drawn again, as fake bold does."""
_CELL: Final = 4.0
_LINE_GAP: Final = 1.0
"""Gap over height at which the next word begins a new line: a gutter or the next cell, not a space."""
_BASELINE: Final = 0.5
_CERTAIN: Final = 100.0


class Glyph(NamedTuple):
    """One character; a space has no box.

    :param text: the character; of spaces, :data:`SPACE` or :data:`GUESSED_SPACE`.
    :param box: where it stands, text running to the right.
    """

    text: str
    box: Box | None


SPACE: Final = Glyph(" ", None)
"""A space the file has."""
GUESSED_SPACE: Final = Glyph("", None)
"""A space or line end PDFium makes up from the file's order, which need not be the page's: believed where there is a
gap, but "Fas" and "t" of one word may be drawn lines apart."""


class _Piece(NamedTuple):
    """A word, or a part of one that the file draws elsewhere.

    :param text: its characters.
    :param box: around them.
    :param begins: the file has a space before it.
    :param ends: the file has a space after it.
    """

    text: str
    box: Box
    begins: bool = False
    ends: bool = False


def lines_of(glyphs: Iterable[Glyph], place: Callable[[Box], Quad]) -> list[Line]:
    """Return the lines that characters make.

    :param glyphs: in the file's order.
    :param place: returns the quad, on the displayed page, of a box.
    """
    every = list(glyphs)
    pieces = _pieces(_without_doubles(every) if _has_doubles(every) else every)
    lines: list[Line] = []
    for row in rows(range(len(pieces)), [piece.box for piece in pieces]):
        for words in _parts(_joined([pieces[index] for index in row])):
            made = tuple(Word(word.text, _CERTAIN, place(word.box)) for word in _spoken(words))
            lines.append(Line(made, _CERTAIN, place(around(word.box for word in words))))
    return lines


def _has_doubles(glyphs: list[Glyph]) -> bool:
    """Tell at small cost whether any character seems to be drawn twice; on nearly every page none is."""
    drawn = [(text, round(box.left), round(box.top)) for text, box in glyphs if box is not None]
    return len(set(drawn)) < len(drawn)


def _without_doubles(glyphs: Iterable[Glyph]) -> Iterable[Glyph]:
    """Drop characters drawn again on their own place."""
    seen: dict[tuple[str, int, int], list[Box]] = {}
    for glyph in glyphs:
        text, box = glyph
        if box is None:
            yield glyph
            continue
        column, row = int(box.left // _CELL), int(box.top // _CELL)
        slack = _SAME_PLACE * (box.bottom - box.top)
        near = seen.get((text, column, row), [])
        if _is_drawn(box, near, slack) or any(_is_drawn(box, seen.get(key), slack) for key in _edges(text, box, slack)):
            continue
        near.append(box)
        seen[text, column, row] = near
        yield glyph


def _edges(text: str, box: Box, slack: float) -> Iterable[tuple[str, int, int]]:
    """Yield the other cells in which the same character may have been put, being shifted across an edge."""
    columns = {int((box.left - slack) // _CELL), int((box.left + slack) // _CELL)}
    rows_ = {int((box.top - slack) // _CELL), int((box.top + slack) // _CELL)}
    if len(columns) == 1 and len(rows_) == 1:
        return ()
    return [(text, column, row) for column in columns for row in rows_]


def _is_drawn(box: Box, others: list[Box] | None, slack: float) -> bool:
    return bool(others) and any(_same_place(box, other, slack) for other in others or ())


def _same_place(a: Box, b: Box, slack: float) -> bool:
    return abs(a.left - b.left) <= slack and abs(a.top - b.top) <= slack and abs(a.right - b.right) <= 2 * slack


def _pieces(glyphs: Iterable[Glyph]) -> list[_Piece]:
    pieces: list[_Piece] = []
    text, boxes = "", list[Box]()
    begins = guessed = False
    for glyph in glyphs:
        if glyph.box is None:
            guessed = True
            if glyph.text:
                if text:
                    pieces.append(_Piece(text, around(boxes), begins, ends=True))
                text, boxes, begins = "", [], True
            continue
        if boxes and not _continues(boxes[-1], glyph, _TOUCHING if guessed else _WORD_GAP):
            pieces.append(_Piece(text, around(boxes), begins))
            text, boxes, begins = "", [], False
        guessed = False
        text += glyph.text
        boxes.append(glyph.box)
    if text:
        pieces.append(_Piece(text, around(boxes), begins))
    return pieces


def _continues(last: Box, glyph: Glyph, least: float) -> bool:
    box = glyph.box
    if box is None:
        return False
    left, top, right, bottom = box
    height, last_height = bottom - top, last.bottom - last.top
    # To either side: in scripts that run to the left the next character stands to the left.
    gap = max(left - last.right, last.left - right)
    apart = abs(top + bottom - last.top - last.bottom) / 2
    if gap <= least * min(height, last_height) and apart <= _BASELINE * max(height, last_height):
        return True
    # An accent that is drawn by itself belongs to the letter before it, wherever it is put.
    return gap <= height and unicodedata.category(glyph.text[0]) == "Mn"


def _joined(row: list[_Piece]) -> list[_Piece]:
    """Join the pieces of a row that touch: some generators draw a page letter by letter, font by font."""
    joined = [row[0]]
    for piece in row[1:]:
        last = joined[-1]
        gap = (piece.box.left - last.box.right) / max(1e-3, min(piece.box.height, last.box.height))
        leftward = _is_leftward(last.text) is True and _is_leftward(piece.text) is True
        first, second = (piece, last) if leftward else (last, piece)
        if first.ends or second.begins or not _OVERLAP < gap < _TOUCHING:
            joined.append(piece)
            continue
        box = around((last.box, piece.box))
        joined[-1] = _Piece(first.text + second.text, box, first.begins, second.ends)
    return joined


def _parts(row: list[_Piece]) -> list[list[_Piece]]:
    parts = [[row[0]]]
    right = row[0].box.right
    for piece in row[1:]:
        if piece.box.left - right > _LINE_GAP * piece.box.height:
            parts.append([])
        parts[-1].append(piece)
        right = max(right, piece.box.right)
    return parts


def _spoken(words: list[_Piece]) -> list[_Piece]:
    """Return the words of a line in the order of speech: numbers and names inside it keep their own direction."""
    kinds = [_is_leftward(word.text) for word in words]
    if sum(kind is True for kind in kinds) <= sum(kind is False for kind in kinds):
        return words
    ordered: list[_Piece] = []
    rightward: list[_Piece] = []
    for word, kind in zip(reversed(words), reversed(kinds), strict=True):
        if kind is False:
            rightward.insert(0, word)
            continue
        ordered += [*rightward, word]
        rightward = []
    return ordered + rightward


def _is_leftward(text: str) -> bool | None:
    """Tell whether a word runs to the left; None where it has no direction of its own."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("R", "AL"):
            return True
        if kind in ("L", "EN"):
            return False
    return None
