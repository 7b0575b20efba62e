"""Telling a file of one record a line (NDJSON) from one document, by its first lines.

Either may be damaged where it begins, and a document may have a whole resource on a line of its own. So it is asked
what the text is as JSON: a document goes on from line to line, lines do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_lakehouse.parsers.fhir import json_spans
from airflow_lakehouse.parsers.fhir.json_spans import MalformedJsonError

if TYPE_CHECKING:
    from collections.abc import Sequence

BOM: Final = b"\xef\xbb\xbf"
BLANK: Final = b" \t\r\n"
"""White space around a record on its line."""
_HEAD_LINES: Final = 100
_HEAD_BYTES: Final = 2**20


@dataclass(frozen=True)
class Head:
    """The first lines of a file.

    :param lines: number and content of those that say something.
    :param read: how many lines were read.
    :param content: the bytes from the first of them on, without byte-order mark.
    :param is_all: whether the file ends here.
    """

    lines: Sequence[tuple[int, bytes]]
    read: int
    content: bytes
    is_all: bool


def read_head(stream: BinaryIO) -> Head:
    """Read the first lines of a file.

    :param stream: the file, at its beginning; it is left where the head ends.
    """
    lines: list[tuple[int, bytes]] = []
    content: list[bytes] = []
    number = size = 0
    for raw in stream:
        number += 1
        line = raw.removeprefix(BOM) if number == 1 else raw
        if line.strip():
            lines.append((number, line.strip(BLANK)))
        if lines:
            content.append(line)
            size += len(line)
        if len(lines) >= _HEAD_LINES or size >= _HEAD_BYTES:
            return Head(lines, number, b"".join(content), is_all=False)
    return Head(lines, number, b"".join(content), is_all=True)


def is_line_file(head: Head) -> bool:
    """Tell whether a file has one record a line; a file of one line is one document.

    :param head: its first lines; there is one.
    """
    first = head.lines[0][1]
    if head.is_all and len(head.lines) == 1:
        return False
    looks_whole = first.startswith(b"{") and first.endswith(b"}")
    if looks_whole and _ends(first):
        return True
    if first.startswith((b"{", b"[")):
        text = text_of(head.content)
        error = _error(text)
        if error is None and json_spans.value_span(text, 0).end > len(text_of(first)):
            return False
        if error is not None and is_at_end(error, text):
            # The value may end behind the head. Where the file ends here, so may a first line that is cut off.
            return looks_whole or (head.is_all and _is_resource(head.lines[1][1]))
    return looks_whole or any(_is_resource(line) for _, line in head.lines)


def _error(text: str) -> MalformedJsonError | None:
    """Return why a text does not begin with a JSON value."""
    try:
        json_spans.value_span(text, 0)
    except MalformedJsonError as error:
        return error
    return None


def is_at_end(error: MalformedJsonError, text: str) -> bool:
    """Tell whether a text is not JSON only because it stops too early.

    :param error: what was found.
    :param text: the text.
    """
    return error.place >= len(text.rstrip()) - 1


def _ends(line: bytes) -> bool:
    text = text_of(line)
    return _error(text) is None and json_spans.value_span(text, 0).end == len(text)


def _is_resource(line: bytes) -> bool:
    return line.startswith(b"{") and _ends(line) and resource_type(text_of(line)) is not None


def resource_type(text: str) -> str | None:
    """Return the resource type of an object that may be broken further on; the last one, as Spark reads it.

    :param text: the object, from its opening brace on.
    """
    found = None
    try:
        for name, place in json_spans.members(text, 0):
            if name == "resourceType":
                value = json_spans.value(text, place)
                found = value if isinstance(value, str) else None
    except MalformedJsonError:
        return found
    return found


def text_of(body: bytes) -> str:
    """Return bytes as text; those that are not UTF-8 survive as lone surrogates, to be judged when they are cut out.

    :param body: the bytes.
    """
    return body.decode("utf-8", "surrogateescape")
