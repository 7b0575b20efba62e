"""Where the values of a JSON text begin and end, so that they can be cut out exactly as they were written.

``json.loads`` gives values, not places; writing a value back would change numbers such as 1.50 and
12345678901234567890.12. Values are skipped by the standard library's own scanner, which runs in C.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANK: Final = re.compile(r"[ \t\n\r]*")


# Lenient where only what a value says is wrong, not where it ends: NaN and a number of five thousand digits are passed
# over like any value, so that what stands beside them is found. Spark's reader, which is strict, then rejects the one.
_DECODER: Final = json.JSONDecoder(parse_int=float)


class MalformedJsonError(ValueError):
    """The text is not JSON at some place.

    :param place: index of the first character that could not be read.
    """

    def __init__(self, place: int) -> None:
        self.place = place
        super().__init__(f"not JSON at character {place + 1}")

    def __reduce__(self) -> tuple[type[MalformedJsonError], tuple[int]]:
        """Rebuild from the place."""
        return type(self), (self.place,)


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of a value in its text."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """Return the value as it was written.

        :param text: the text the span was taken from.
        """
        return text[self.start : self.end]


def skip_blank(text: str, place: int) -> int:
    """Return the index of the next character that is not JSON white space.

    :param text: JSON text.
    :param place: where to begin.
    """
    found = _BLANK.match(text, place)
    return found.end() if found else place


def value_span(text: str, place: int) -> Span:
    """Return the span of the value that begins at a place.

    :param text: JSON text.
    :param place: index of its first character.
    :raises MalformedJsonError: when no whole value is there.
    """
    try:
        _, end = _DECODER.raw_decode(text, place)
    except json.JSONDecodeError as error:
        # A string that never ends is reported where it begins; what is wrong is the end of the text.
        raise MalformedJsonError(len(text) if "Unterminated" in error.msg else error.pos) from error
    except (ValueError, RecursionError) as error:
        raise MalformedJsonError(place) from error
    return Span(place, end)


def value(text: str, place: int) -> Any:
    """Return the value that begins at a place; numbers are good for nothing but being there.

    :param text: JSON text.
    :param place: index of its first character.
    :raises MalformedJsonError: as :func:`value_span`.
    """
    span = value_span(text, place)
    return _DECODER.raw_decode(text, span.start)[0]


def members(text: str, place: int) -> Iterator[tuple[str, int]]:
    """Walk an object: yield each name with the place where its value begins.

    A caller that stops at the name it looks for never reads what follows, so a text that is cut off later still
    gives it what came before.

    :param text: JSON text.
    :param place: index of the opening brace.
    :raises MalformedJsonError: at the first thing that is not JSON.
    """
    place = skip_blank(text, place + 1)
    if text[place : place + 1] == "}":
        return
    while True:
        if text[place : place + 1] != '"':
            raise MalformedJsonError(place)
        name = value_span(text, place)
        place = skip_blank(text, name.end)
        if text[place : place + 1] != ":":
            raise MalformedJsonError(place)
        place = skip_blank(text, place + 1)
        if place >= len(text):
            raise MalformedJsonError(place)
        yield json.loads(name.of(text)), place
        place = skip_blank(text, value_span(text, place).end)
        if text[place : place + 1] == "}":
            return
        if text[place : place + 1] != ",":
            raise MalformedJsonError(place)
        place = skip_blank(text, place + 1)


def elements(text: str, place: int) -> Iterator[Span]:
    """Walk an array: yield the span of each element.

    :param text: JSON text.
    :param place: index of the opening bracket.
    :raises MalformedJsonError: at the first thing that is not JSON; elements before it were yielded.
    """
    place = skip_blank(text, place + 1)
    if text[place : place + 1] == "]":
        return
    while True:
        span = value_span(text, place)
        yield span
        place = skip_blank(text, span.end)
        if text[place : place + 1] == "]":
            return
        if text[place : place + 1] != ",":
            raise MalformedJsonError(place)
        place = skip_blank(text, place + 1)
