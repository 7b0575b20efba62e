"""Whether to believe a page's text layer.

Decided page by page: one scanned page in a born-digital document, or one stamp on a scanned page, must not decide for
the others. A page that is wrongly disbelieved costs seconds of OCR; one that is wrongly believed loses its text.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

TRUSTED: Final = "TRUSTED_TEXT_LAYER"
"""The text layer was taken."""
NO_TEXT_LAYER: Final = "NO_TEXT_LAYER"
"""The page has no text of its own; it was read by OCR."""
GARBLED: Final = "GARBLED_TEXT_LAYER"
"""A tenth of the characters or more do not say what they mean; OCR."""
HIDDEN: Final = "HIDDEN_TEXT_LAYER"
"""Most of the text is invisible or beneath an image, as after an older OCR; read anew."""
LITTLE: Final = "LITTLE_TEXT_OVER_IMAGE"
"""An image covers the page and little text lies over it, as a stamp on a scan; OCR."""
IMPLAUSIBLE: Final = "IMPLAUSIBLE_TEXT_LAYER"
"""The letters cannot be those that are drawn, as under a shifted font map; OCR."""

_BAD_SHARE: Final = 0.1
_HIDDEN_SHARE: Final = 0.5
COVERING_IMAGE: Final = 0.6
_STAMP_CHARACTERS: Final = 200
_MIN_WIDE: Final = 10
_MIN_LETTERS: Final = 200
_VOWELS: Final = (0.18, 0.62)


@dataclass(slots=True)
class Facts:
    """What a page's text layer looks like; counts are of characters that are drawn.

    :param characters: all but white space.
    :param bad: replacement, private-use and control characters, and those whose font does not say what they mean.
    :param hidden: drawn invisibly, or beneath an image that covers the page.
    :param image_cover: share of the page under images, 0 to 1.
    :param wide: of scripts whose glyphs are as wide as high: Han, Hangul, kana.
    :param narrow_wide: of those, drawn narrower than such glyphs can be.
    :param latin: letters a to z.
    :param vowels: of those, vowels.
    """

    characters: int = 0
    bad: int = 0
    hidden: int = 0
    image_cover: float = 0.0
    wide: int = 0
    narrow_wide: int = 0
    latin: int = 0
    vowels: int = 0


def judge(facts: Facts) -> str:
    """Return :data:`TRUSTED`, or the UPPER_SNAKE code of why the text layer is not believed.

    :param facts: what it looks like.
    """
    if facts.characters == 0:
        return NO_TEXT_LAYER
    if facts.bad > _BAD_SHARE * facts.characters:
        return GARBLED
    if facts.hidden > _HIDDEN_SHARE * facts.characters:
        return HIDDEN
    if facts.image_cover >= COVERING_IMAGE and facts.characters - facts.hidden < _STAMP_CHARACTERS:
        return LITTLE
    return TRUSTED if _is_plausible(facts) else IMPLAUSIBLE


def _is_plausible(facts: Facts) -> bool:
    # A font whose map names Hangul for Cyrillic glyphs still draws them at the width of Cyrillic.
    if facts.wide >= _MIN_WIDE and facts.narrow_wide > facts.wide / 2:
        return False
    if facts.latin < _MIN_LETTERS:
        return True
    # A shifted map turns text into letters without the vowels that every language written in Latin script has.
    return _VOWELS[0] <= facts.vowels / facts.latin <= _VOWELS[1]


def is_bad(character: str) -> bool:
    """Tell whether a character cannot be text: replacement, private use, control or half of a pair.

    :param character: one character.
    """
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Co", "Cs", "Cn")


def is_wide(character: str) -> bool:
    """Tell whether a character is of a script whose glyphs are as wide as high: Han, Hangul, kana.

    :param character: one character.
    """
    return unicodedata.east_asian_width(character) == "W" and unicodedata.category(character) == "Lo"
