"""What every parser must keep, whatever it reads."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from airflow_lakehouse.exceptions import ParserError
from airflow_lakehouse.parsing import Record, RecordParser, Rejected, Row, SourceFile

if TYPE_CHECKING:
    from airflow_lakehouse.parsing import Parser

_REASON = re.compile(r"[A-Z][A-Z0-9_]*")


def check_parser(parser: Parser | RecordParser, content: bytes, uri: str = "file:///drop/sample") -> list[object]:
    """Read a file with a parser twice and check what comes out.

    The second reading gives the same as the first; positions do not go back; rows name one of the parser's tables and
    columns it has; reasons are codes; details quote nothing of the record.

    :param parser: the parser.
    :param content: bytes of a file it claims.
    :param uri: name of that file.
    :return: what it yielded.
    :raises ParserError: naming the first thing that does not hold.
    """
    file = SourceFile(uri, "etag", len(content))
    if not parser.claims(file, content[:65_536]):
        raise ParserError(f"parser {parser.name!r} does not claim the file it was given")
    first, second = _read(parser, file, content), _read(parser, file, content)
    if first != second:
        raise ParserError(f"parser {parser.name!r} gives other rows the second time", remedy="keep no state in it")
    places = [(item.position, getattr(item, "entry", 0)) for item in first]
    if not isinstance(parser, RecordParser) and [place[0] for place in places] != sorted(place[0] for place in places):
        raise ParserError(f"parser {parser.name!r} gives positions that go back")
    for item in first:
        _check(parser, item)
    return list(first)


def _read(parser: Parser | RecordParser, file: SourceFile, content: bytes) -> list[Record | Row | Rejected]:
    stream = io.BytesIO(content)
    return list(parser.cut(file, stream) if isinstance(parser, RecordParser) else parser.parse(file, stream))


def _check(parser: Parser | RecordParser, item: Record | Row | Rejected) -> None:
    if isinstance(item, Rejected):
        if not _REASON.fullmatch(item.reason):
            raise ParserError(f"parser {parser.name!r} gives reason {item.reason!r}", legal="an UPPER_SNAKE code")
        raw = (item.raw or b"").decode("utf-8", "replace").strip()
        if len(raw) > len("null") and raw in item.detail:
            raise ParserError(f"parser {parser.name!r} quotes the record in the detail of {item.reason}")
    elif isinstance(item, Row):
        tables = {table.name: table for table in parser.tables}
        if item.table not in tables:
            raise ParserError(f"parser {parser.name!r} fills {item.table!r}", legal=", ".join(tables))
        strangers = sorted(set(item.values) - set(tables[item.table].column_names))
        if strangers:
            raise ParserError(f"{item.table} has no columns {', '.join(strangers)}")
