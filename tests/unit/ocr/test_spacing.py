from __future__ import annotations

import numpy as np

from airflow_lakehouse.ocr.spacing import Character, ink_gaps, split_words


def _characters(text: str, centres: list[float]) -> list[Character]:
    places = iter(centres)
    return [Character(char, 0.9, None if char == " " else next(places)) for char in text]


def test_a_recognised_space_parts_words() -> None:
    """Words are cut where the recogniser saw a space, at the gap in the ink."""
    spans = split_words(_characters("ab cd", [0.1, 0.3, 0.7, 0.9]), [(0.38, 0.62)], 5.0)
    assert [(span.text, span.start, span.end) for span in spans] == [("ab", 0.0, 0.38), ("cd", 0.62, 1.0)]


def test_a_swallowed_space_is_put_back() -> None:
    """A gap as wide as a space parts words although the recogniser saw none."""
    gaps = [(0.19, 0.21), (0.42, 0.58), (0.79, 0.81)]
    spans = split_words(_characters("1108", [0.1, 0.3, 0.7, 0.9]), gaps, 5.0)
    assert [span.text for span in spans] == ["11", "08"]


def test_the_room_around_a_one_is_no_space() -> None:
    """Two ones stand apart by nearly a space, and are one number."""
    gaps = [(0.15, 0.24), (0.48, 0.50), (0.74, 0.76)]
    assert len(split_words(_characters("1145", [0.1, 0.3, 0.6, 0.9]), gaps, 5.0)) == 1


def test_marks_inside_an_address_do_not_part_it() -> None:
    """The full stop of an address and a closing bracket leave room, and part nothing."""
    gaps = [(0.40, 0.49), (0.55, 0.64)]
    spans = split_words(_characters("ab.cd", [0.1, 0.3, 0.52, 0.7, 0.9]), gaps, 5.0)
    assert [span.text for span in spans] == ["ab.cd"]


def test_letters_set_wide_stay_one_word() -> None:
    """Where every gap is wide the line is set wide, and is not cut into letters."""
    gaps = [(0.1, 0.2), (0.3, 0.4), (0.5, 0.6), (0.7, 0.8)]
    assert len(split_words(_characters("WARDS", [0.05, 0.25, 0.45, 0.65, 0.9]), gaps, 6.0)) == 1


def test_han_characters_need_no_spaces() -> None:
    """Gaps between Han characters part nothing: the script has no spaces."""
    assert len(split_words(_characters("白细胞", [0.1, 0.5, 0.9]), [(0.2, 0.4), (0.6, 0.8)], 4.0)) == 1


def test_a_thin_letter_placed_off_does_not_take_the_space() -> None:
    """The recognised space takes the wide gap although it lies nearer to the letter before."""
    spans = split_words(_characters("cell no", [0.1, 0.25, 0.35, 0.5, 0.75, 0.9]), [(0.39, 0.49)], 6.0)
    assert [span.text for span in spans] == ["cell", "no"]


def test_nothing_recognised_is_no_word() -> None:
    """A line of spaces has no words."""
    assert split_words(_characters("  ", []), [], 3.0) == []


def test_ink_gaps_ignores_a_ruled_line() -> None:
    """Columns without ink are found although a table's rule runs below the text."""
    image = np.full((40, 200, 3), 255, np.uint8)
    image[8:28, 20:60] = 0
    image[8:28, 120:180] = 0
    image[36:38, :] = 0
    gaps, aspect = ink_gaps(image)
    assert gaps == [(0.0, 0.1), (0.3, 0.6), (0.9, 1.0)]
    assert aspect == 10.0


def test_ink_gaps_reads_light_text_on_dark() -> None:
    """White letters on a black bar are the ink, not the bar."""
    image = np.zeros((40, 100, 3), np.uint8)
    image[10:30, 20:40] = 255
    image[10:30, 60:80] = 255
    assert ink_gaps(image)[0] == [(0.0, 0.2), (0.4, 0.6), (0.8, 1.0)]
