from __future__ import annotations

import pytest

from airflow_lakehouse.ocr import trust
from airflow_lakehouse.ocr.trust import Facts

LETTER = {"characters": 1000, "latin": 900, "vowels": 340}


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (Facts(**LETTER), trust.TRUSTED),
        (Facts(), trust.NO_TEXT_LAYER),
        (Facts(**LETTER, bad=101), trust.GARBLED),
        (Facts(**LETTER, bad=50), trust.TRUSTED),
        (Facts(**LETTER, hidden=900, image_cover=1.0), trust.HIDDEN),
        (Facts(characters=40, latin=30, vowels=12, image_cover=0.98), trust.LITTLE),
        (Facts(characters=40, latin=30, vowels=12), trust.TRUSTED),
        (Facts(**LETTER, image_cover=1.0), trust.TRUSTED),
        (Facts(characters=200, wide=175, narrow_wide=170), trust.IMPLAUSIBLE),
        (Facts(characters=200, wide=175, narrow_wide=3), trust.TRUSTED),
        (Facts(characters=1000, latin=900, vowels=60), trust.IMPLAUSIBLE),
        (Facts(characters=300, latin=150, vowels=2), trust.TRUSTED),
    ],
    ids=[
        "born digital",
        "nothing",
        "a tenth cannot be text",
        "a few odd characters",
        "another engine's text under a scan",
        "a stamp on a scan",
        "a short page",
        "a letter on a background",
        "Hangul drawn as narrow as Cyrillic",
        "Chinese",
        "letters without vowels",
        "a table of codes",
    ],
)
def test_judge(facts: Facts, verdict: str) -> None:
    """Each way in which a text layer can mislead is named, and honest ones are believed."""
    assert trust.judge(facts) == verdict


@pytest.mark.parametrize("character", ["\ufffd", "\ue000", "\x07", "\x85", chr(0xD800), "\U000f0000"])
def test_what_cannot_be_text_is_bad(character: str) -> None:
    """Replacement, private-use and control characters speak against a text layer."""
    assert trust.is_bad(character)


@pytest.mark.parametrize("character", ["b", "7", "é", "µ", "한", "中", "ع", "ท", "€", "😀"])
def test_text_of_any_script_is_not_bad(character: str) -> None:
    """No script is mistaken for garbage."""
    assert not trust.is_bad(character)


@pytest.mark.parametrize(("character", "wide"), [("中", True), ("한", True), ("あ", True), ("Ж", False), ("a", False)])
def test_wide_scripts(character: str, *, wide: bool) -> None:
    """Han, Hangul and kana are known to be as wide as high."""
    assert trust.is_wide(character) is wide
