"""Where words begin and end inside a recognised line.

The recogniser often swallows a space between two numbers (``2024-03-1108:42``). The ink does not: between words there
is a gap wider than any between two letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.ocr.trust import is_wide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SPACE: Final = 0.38
"""Gap over the height of the ink that is a space, in a line without a recognised one."""
_KNOWN_SPACE: Final = 0.72
"""Share of the line's own recognised spaces that a gap must reach."""
_SPACE_RANGE: Final = (0.34, 1.0)
_SPACING: Final = 2.2
"""How much wider than the gaps between its letters a line's spaces are, however widely it is set."""
_AFTER_ONE: Final = 1.3
"""A "1" stands on as much room as any digit and leaves most of it empty: "11" has nearly a space in it."""
_PUNCTUATION: Final = 1.8
"""Small marks leave room around them: the ":" of "Email:", the "." of an address."""
_CLOSING: Final = frozenset(".,:;!?)]}'\"%")
_JOINING: Final = frozenset(".-/@_")
_RULE: Final = 0.85
"""Share of a pixel row under ink that makes it a ruled line, not text."""


@dataclass(frozen=True, slots=True)
class Character:
    """One recognised character.

    :param text: the character; may be a space.
    :param confidence: 0 to 1.
    :param centre: where along the line, 0 to 1; None for a space.
    """

    text: str
    confidence: float
    centre: float | None


@dataclass(frozen=True, slots=True)
class Span:
    """One word of a line.

    :param text: the word.
    :param confidence: 0 to 1, mean over its characters.
    :param start: where along the line it begins, 0 to 1.
    :param end: where it ends.
    """

    text: str
    confidence: float
    start: float
    end: float


Gap = tuple[float, float]
"""A stretch without ink along the line, 0 to 1."""


def split_words(characters: Sequence[Character], gaps: Sequence[Gap], aspect: float) -> list[Span]:
    """Cut a line into words, at recognised spaces and at gaps as wide as one.

    :param characters: what was recognised, spaces included.
    :param gaps: stretches without ink, from :func:`ink_gaps`.
    :param aspect: length of the line over the height of its ink.
    """
    drawn = [character for character in characters if character.centre is not None]
    if not drawn:
        return []
    spaced = _spaced(characters)
    between = _gaps_between(drawn, spaced, gaps)
    least = _least_space(between, spaced, aspect)
    words: list[list[Character]] = [[drawn[0]]]
    cuts: list[Gap] = []
    for i, following in enumerate(drawn[1:]):
        gap = between[i]
        needed = least * _reluctance(drawn[i].text, following.text)
        if i in spaced or gap[1] - gap[0] >= needed:
            words.append([])
            cuts.append(gap)
        words[-1].append(following)
    starts = [0.0, *(end for _, end in cuts)]
    ends = [*(start for start, _ in cuts), 1.0]
    return [_span(word, start, end) for word, start, end in zip(words, starts, ends, strict=True)]


def _spaced(characters: Sequence[Character]) -> set[int]:
    """Return after which drawn characters, by place, a space was recognised."""
    places, drawn = set(), 0
    for character in characters:
        if character.centre is not None:
            drawn += 1
        elif drawn:
            places.add(drawn - 1)
    return places


def _gaps_between(drawn: list[Character], spaced: set[int], gaps: Sequence[Gap]) -> list[Gap]:
    """Return the gap after each character but the last; where there is none, an empty one half way."""
    centres = [character.centre or 0.0 for character in drawn]
    pitch = (centres[-1] - centres[0]) / max(1, len(drawn) - 1)
    # What lies before the first letter and after the last one parts nothing.
    free = [gap for gap in gaps if gap[0] > 0 and gap[1] < 1]
    found: dict[int, Gap] = {}
    # Recognised spaces choose first, and from a little around: the recogniser places thin letters half a letter off.
    for place in sorted(range(len(drawn) - 1), key=lambda i: (i not in spaced, i)):
        slack = 0.5 * pitch if place in spaced else 0.0
        low, high = centres[place] - slack, centres[place + 1] + slack
        inside = [gap for gap in free if low < (gap[0] + gap[1]) / 2 < high]
        middle = (centres[place] + centres[place + 1]) / 2
        found[place] = max(inside, key=lambda gap: gap[1] - gap[0]) if inside else (middle, middle)
        if inside:
            free.remove(found[place])
    return [found[place] for place in range(len(drawn) - 1)]


def _reluctance(before: str, after: str) -> float:
    """Return by how much more than a space two characters must stand apart to belong to two words."""
    if is_wide(before) and is_wide(after):
        return float("inf")
    if after in _CLOSING or (before in _JOINING and not after.isupper()):
        return _PUNCTUATION
    return _AFTER_ONE if before == "1" else 1.0


def _least_space(between: list[Gap], spaced: set[int], aspect: float) -> float:
    """Return the gap, as a share of the line, from which two characters belong to two words."""
    widths = [(end - start) * aspect for start, end in between]
    spaces = sorted(width for place, width in enumerate(widths) if place in spaced and width > 0)
    letters = [width for place, width in enumerate(widths) if place not in spaced]
    least = _SPACE
    if spaces:
        least = min(_SPACE_RANGE[1], max(_SPACE_RANGE[0], _KNOWN_SPACE * spaces[len(spaces) // 4]))
    if len(letters) > 1:
        least = max(least, _SPACING * median_low(letters))
    return least / max(aspect, 1e-6)


def _span(word: list[Character], start: float, end: float) -> Span:
    confidence = sum(character.confidence for character in word) / len(word)
    return Span("".join(character.text for character in word), confidence, start, max(start, end))


def ink_gaps(image: NDArray[Any]) -> tuple[list[Gap], float]:
    """Return the stretches of a line's image without ink, and its length over the height of its ink.

    :param image: height x width x 3, 8 bit; text running to the right.
    """
    import cv2
    import numpy as np

    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image  # noqa: PLR2004 - colour has three
    _, ink = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    if ink.mean() > 0.5:  # noqa: PLR2004 - light text on dark
        ink = 1 - ink
    # Ruled lines would bridge every gap; text never fills a whole row.
    ink[ink.mean(axis=1) > _RULE] = 0
    rows = np.flatnonzero(ink.sum(axis=1) > 0.01 * ink.shape[1])
    height = max(1, int(rows[-1] - rows[0]) + 1) if rows.size else ink.shape[0]
    # A speck of noise is no letter.
    inked = ink.sum(axis=0) > 0.04 * height
    return _runs(inked.tolist()), ink.shape[1] / height


def _runs(inked: Sequence[bool]) -> list[Gap]:
    width = len(inked)
    gaps, start = [], None
    for place, is_ink in enumerate([*inked, True]):
        if not is_ink and start is None:
            start = place
        elif is_ink and start is not None:
            gaps.append((start / width, place / width))
            start = None
    return gaps
