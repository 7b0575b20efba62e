"""Cutting a file into records: the exact bytes of each resource, and nothing else.

Shapes are told apart by content (:mod:`airflow_lakehouse.parsers.fhir.layout`). A file with a record a line is read
line by line; anything else is one document: a resource, an array of resources, or a Bundle. Whatever cannot be cut
becomes a reject with its bytes, and what comes before and after it still loads.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_lakehouse.parsers.fhir import json_spans
from airflow_lakehouse.parsers.fhir.bundle import cut_bundle
from airflow_lakehouse.parsers.fhir.json_spans import MalformedJsonError
from airflow_lakehouse.parsers.fhir.layout import BLANK, BOM, is_at_end, is_line_file, read_head, resource_type, text_of
from airflow_lakehouse.parsers.fhir.reasons import (
    EMPTY_FILE,
    INVALID_JSON,
    INVALID_UTF8,
    NOT_AN_OBJECT,
    TRAILING_CONTENT,
    TRUNCATED_JSON,
)
from airflow_lakehouse.parsing.model import Record, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_BUNDLE: Final = b'"Bundle"'
_ESCAPED_LETTER: Final = re.compile(rb"\\u00[4-7]")
# One odd line costs its block the fast way: blocks are small enough for that to be a few hundred lines.
_BLOCK_BYTES: Final = 2**18
_STRING: Final = re.compile(rb'"[^"\n]*"')
_NO_STRUCTURE: Final = bytes(byte for byte in range(256) if byte not in b'{}"\n')
_USUAL_DEPTH: Final = 64


def cut(stream: BinaryIO) -> Iterator[Record | Rejected]:
    """Yield the records of one file, in order.

    :param stream: the file's bytes, unzipped.
    """
    head = read_head(stream)
    if not head.lines:
        yield Rejected(0, EMPTY_FILE, "the file holds no record", b"")
    elif head.content.startswith(_UTF16):
        yield Rejected(0, INVALID_UTF8, "the file is UTF-16, not UTF-8", _kept(head.content + stream.read()))
    elif is_line_file(head):
        for number, line in head.lines:
            yield from _cut_line(number, line)
        yield from _cut_lines(head.read, stream)
    else:
        yield from cut_document(head.content + stream.read())


def _cut_lines(number: int, stream: BinaryIO) -> Iterator[Record | Rejected]:
    """Yield the records of the lines after line ``number``.

    One file is one task, so this is what a large file waits for: what can be asked of a block of lines at once is not
    asked of each of them.
    """
    while block := stream.read(_BLOCK_BYTES) + stream.readline():
        block = block.removesuffix(b"\n")
        is_plain = _is_plain(block)
        for line in block.split(b"\n"):
            number += 1
            body = line.strip(BLANK)
            if is_plain and body[:1] == b"{" and body[-1:] == b"}":
                yield Record(number, body)
            elif body:
                yield from _cut_line(number, body)


def _is_plain(block: bytes) -> bool:
    """Tell whether no line of a block needs a second look, but for what stands before and behind its object."""
    return _are_objects(block) and not _may_be_bundle(block) and (block.isascii() or _is_utf8(block))


def _may_be_bundle(lines: bytes) -> bool:
    """Tell whether a Bundle may be among lines; a letter of its name may be written as an escape."""
    return _BUNDLE in lines or (b"\\u00" in lines and _ESCAPED_LETTER.search(lines) is not None)


def _are_objects(lines: bytes) -> bool:
    """Tell, by its quotes and braces alone, whether each line holds one object.

    Spark's JSON reader stops after the first object and ignores what follows it: a second object on the line, or a
    brace too many, would vanish without a trace. A line that is told to be odd gets the strict reading, which then says
    what it is.
    """
    if b"\\" in lines:
        # What is escaped ends no string. Pairs first: behind an even number of backslashes, a quote is one.
        lines = lines.replace(b"\\\\", b"").replace(b'\\"', b"")
    # A string without braces is two quotes side by side, whose end is not told apart from the start of the next. Two of
    # them fewer leave every other quote opening or closing what it did; those with braces within are taken out whole.
    # Units of measure have such: {score}, /{entity}.
    braces = lines.translate(None, _NO_STRUCTURE).replace(b'""', b"")
    if b'"' in braces:
        braces = _STRING.sub(b"", braces)
        if b'"' in braces:
            return False
    if not (braces[:1] == b"{" and braces[-1:] == b"}" and braces.count(b"}\n{") == braces.count(b"\n")):
        return False
    # Without its outer pair, the braces of one object close among themselves; those of two begin with one that closes.
    inner = braces[1:-1].replace(b"}\n{", b"\n")
    for _ in range(_USUAL_DEPTH):
        if b"{" not in inner:
            break
        inner = inner.replace(b"{}", b"")
    return not inner.strip(b"\n")


def _cut_line(number: int, line: bytes) -> Iterator[Record | Rejected]:
    # Files that were put together from several have a byte-order mark before the first line of each.
    body = line.removeprefix(BOM).lstrip(BLANK)
    if _may_be_bundle(body) or _is_odd(body):
        yield from _cut_odd_line(number, body)
    elif _is_utf8(body):
        yield Record(number, body)
    else:
        yield Rejected(number, INVALID_UTF8, "the line is not valid UTF-8", body)


def _is_odd(body: bytes) -> bool:
    """Tell whether a line needs the slow, strict reading."""
    return not (body.startswith(b"{") and body.endswith(b"}") and _are_objects(body))


def _cut_odd_line(number: int, body: bytes) -> Iterator[Record | Rejected]:
    text = text_of(body)
    reject = _why_not_an_object(text)
    if reject is not None:
        yield Rejected(number, reject[0] if _is_utf8(body) else INVALID_UTF8, reject[1], body)
        return
    if resource_type(text) != "Bundle":
        yield _checked(Record(number, _bytes(text)))
        return
    for item in cut_bundle(text):
        yield _renumbered(item, number, item.position)


def _why_not_an_object(text: str) -> tuple[str, str] | None:
    if not text.startswith("{"):
        return NOT_AN_OBJECT, "the line does not begin with an object"
    try:
        end = json_spans.value_span(text, 0).end
    except MalformedJsonError as error:
        return _broken(error, text), str(error)
    if json_spans.skip_blank(text, end) < len(text):
        return TRAILING_CONTENT, f"the object ends at character {end}, the line goes on"
    return None


def cut_document(document: bytes) -> Iterator[Record | Rejected]:
    """Yield the records of a file that is no line file: JSON values one after the other, usually one.

    Positions count on from value to value, so that each record has one of its own.

    :param document: its bytes, without byte-order mark.
    """
    text = text_of(document)
    place = json_spans.skip_blank(text, 0)
    if text[place : place + 1] not in ("{", "["):
        yield Rejected(0, NOT_AN_OBJECT, "the file begins with neither an object nor an array", _kept(document))
        return
    count, has_any = 0, False
    while place < len(text):
        if text[place] not in "{[":
            yield Rejected(count + 1, TRAILING_CONTENT, "something follows that is no value", _bytes(text[place:]))
            return
        end = _end_of_value(text, place)
        last = count
        for item in _cut_value(text[place:end]):
            # What is wrong with a value as a whole has no place in it, and still needs one no other record has.
            last = count + item.position if item.position else last + 1 if has_any else 0
            has_any = True
            yield replace(item, position=last)
        count = last
        place = json_spans.skip_blank(text, end)


def _end_of_value(text: str, place: int) -> int:
    """Return where the value ends; the end of the text for one that is broken, whose rest nobody can tell apart."""
    try:
        return json_spans.value_span(text, place).end
    except MalformedJsonError:
        return len(text)


def _cut_value(text: str) -> Iterator[Record | Rejected]:
    if text.startswith("["):
        yield from _cut_array(text)
    elif resource_type(text) == "Bundle":
        for item in cut_bundle(text):
            yield _checked(replace(item, position=1) if isinstance(item, Record) and not item.position else item)
    else:
        try:
            json_spans.value_span(text, 0)
        except MalformedJsonError as error:
            yield Rejected(1, _broken(error, text), str(error), _bytes(text))
        else:
            yield _checked(Record(1, _bytes(text)))


def _cut_array(text: str) -> Iterator[Record | Rejected]:
    number, place = 0, 0
    try:
        for span in json_spans.elements(text, 0):
            number += 1
            element = span.of(text)
            if element.startswith("{") and resource_type(element) == "Bundle":
                yield from (_renumbered(item, number, item.position) for item in cut_bundle(element))
            else:
                yield _checked(Record(number, _bytes(element)))
            place = span.end
    except MalformedJsonError as error:
        yield Rejected(number + 1, _broken(error, text), str(error), _bytes(text[place:]))


def _broken(error: MalformedJsonError, text: str) -> str:
    return TRUNCATED_JSON if is_at_end(error, text) else INVALID_JSON


def _checked(item: Record | Rejected) -> Record | Rejected:
    if isinstance(item, Rejected):
        return item
    if not _is_utf8(item.body):
        return Rejected(item.position, INVALID_UTF8, "the record is not valid UTF-8", item.body, item.entry)
    if not item.body.startswith(b"{"):
        return Rejected(item.position, NOT_AN_OBJECT, "the record is not an object", item.body, item.entry)
    return item


def _renumbered(item: Record | Rejected, position: int, entry: int) -> Record | Rejected:
    checked = _checked(item)
    if isinstance(checked, Rejected):
        return Rejected(position, checked.reason, checked.detail, checked.raw, entry)
    return Record(position, checked.body, entry, checked.attributes)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _kept(document: bytes) -> bytes | None:
    return document if len(document) <= 2**20 else None
