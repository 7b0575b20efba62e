from __future__ import annotations

from airflow_lakehouse.ocr.geometry import Box, quad_of
from airflow_lakehouse.ocr.text_lines import GUESSED_SPACE, SPACE, Glyph, lines_of


def _word(text: str, left: float, top: float = 100, *, step: float = 6) -> list[Glyph]:
    return [Glyph(char, Box(left + step * i, top, left + step * (i + 1), top + 10)) for i, char in enumerate(text)]


def _texts(glyphs: list[Glyph]) -> list[str]:
    return [line.text for line in lines_of(glyphs, quad_of)]


def test_a_space_of_the_file_parts_words() -> None:
    """A space that is in the file parts words even where there is hardly a gap."""
    assert _texts([*_word("one", 10), SPACE, *_word("two", 28.5)]) == ["one two"]


def test_a_guessed_space_without_a_gap_parts_nothing() -> None:
    """PDFium's own spaces are believed only where the page has a gap."""
    assert _texts([*_word("Fas", 10), GUESSED_SPACE, *_word("t", 28)]) == ["Fast"]
    assert _texts([*_word("one", 10), GUESSED_SPACE, *_word("two", 30)]) == ["one two"]


def test_letters_drawn_in_any_order_make_words() -> None:
    """A word whose last letter is drawn lines later is one word."""
    glyphs = [*_word("Fas", 10), GUESSED_SPACE, *_word("below", 10, 120), GUESSED_SPACE, *_word("t", 28)]
    assert _texts(glyphs) == ["Fast", "below"]


def test_a_wide_gap_begins_a_new_line_block() -> None:
    """Cells of a table row and columns of text are lines of their own."""
    assert _texts([*_word("Sodium", 10), SPACE, *_word("139", 120)]) == ["Sodium", "139"]


def test_fake_bold_is_read_once() -> None:
    """Characters drawn twice on nearly the same place count once; double letters stay."""
    glyphs = [*_word("hello", 10, step=3), *_word("hello", 10.3, step=3)]
    assert _texts(glyphs) == ["hello"]


def test_arabic_is_put_in_the_order_of_speech() -> None:
    """Words of a line that runs to the left come in the order they are spoken, numbers inside them unharmed."""
    right = [Glyph(char, Box(80 - 6 * i, 100, 86 - 6 * i, 110)) for i, char in enumerate("انواع")]
    left = [Glyph(char, Box(20 - 6 * i, 100, 26 - 6 * i, 110)) for i, char in enumerate("خط")]
    number = _word("123", 34, step=5)
    assert _texts([*left, SPACE, *number, SPACE, *right]) == ["انواع 123 خط"]


def test_an_accent_drawn_by_itself_stays_with_its_letter() -> None:
    """Thai vowels and tone marks do not cut words."""
    base, mark = Box(10, 100, 16, 110), Box(19.5, 96, 20, 106)
    assert _texts([Glyph("ต", base), Glyph("\u0e31", mark), Glyph("ง", Box(16, 100, 22, 110))]) == ["ต\u0e31ง"]
