"""A file's bytes to the records and rejects in it, with Python's own JSON reader.

Shapes are told apart by content: NDJSON, one resource, an array, a Bundle (https://hl7.org/fhir/R4/bundle.html), any of
them gzipped. A file of several values, or an array or Bundle that is broken, is refused: what can be saved of one is
the cutter's own business.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from airflow_lakehouse.exceptions import InputError
from airflow_lakehouse.parsers.fhir import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST: Final = 67_108_864
_TOO_LARGE: Final = "RECORD_TOO_LARGE"
_BLANK: Final = " \t\r\n"
_TYPE: Final = re.compile(r"[A-Z][A-Za-z]{1,63}")
_TARGET: Final = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})/?")
_URN: Final = re.compile(r"urn:(?:uuid|oid):(.+)")
_ETAG: Final = re.compile(r'(?:W/)?"?([A-Za-z0-9\-.]{1,64})"?')


@dataclass(frozen=True)
class DropFile:
    """One file as it lies in the drop.

    :param uri: where it lies.
    :param content: its bytes.
    :param source_system: who sent it.
    :param version: what its store calls its version; empty for the hash of its bytes.
    """

    uri: str
    content: bytes
    source_system: str = "default"
    version: str = ""

    @property
    def etag(self) -> str:
        """Its version."""
        return self.version or sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Occurrence:
    """One record in one version of one file.

    :param position: 1-based line, Bundle entry or array element.
    :param entry: 1-based entry where the line itself holds a Bundle, else 0.
    :param reason: why it is rejected; empty for a resource.
    :param text: exact text of the resource.
    :param content: the resource, or the entry that deletes one.
    :param resource_type: its type.
    :param resource_id: its id.
    :param version_id: its version, as sent.
    :param last_updated: its time, as sent.
    :param deleted: whether it says that the resource was deleted.
    :param urns: how its Bundle resolves urns.
    """

    position: int
    entry: int = 0
    reason: str = ""
    text: str = ""
    content: dict[str, Any] = field(default_factory=dict)
    resource_type: str = ""
    resource_id: str | None = None
    version_id: str | None = None
    last_updated: str | None = None
    deleted: bool = False
    urns: dict[str, str] = field(default_factory=dict)


def read_drop(root: Path | str) -> list[DropFile]:
    """Return the files of a drop as they are now.

    :param root: its folder, or ``s3://bucket/prefix``.
    """
    if str(root).startswith("s3://"):
        return list(_read_bucket(str(root)))
    paths = sorted(path for path in Path(root).rglob("*") if path.is_file())
    return [DropFile(uri, path.read_bytes(), _source(uri)) for path in paths for uri in [f"file://{path.as_posix()}"]]


def _read_bucket(root: str) -> Iterator[DropFile]:
    import boto3

    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            body = client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            uri = f"s3://{bucket}/{item['Key']}"
            yield DropFile(uri, body, _source(uri), item["ETag"].strip('"'))


def _source(uri: str) -> str:
    found = re.search(r"/source=([^/]+)/", uri)
    return found[1] if found else "default"


def occurrences(file: DropFile) -> Iterator[Occurrence]:
    """Yield what is in a file, in order.

    :param file: the file.
    :raises InputError: for a file of a shape that is not modelled.
    """
    for item in _occurrences(file):
        yield replace(item, reason=_TOO_LARGE) if len(item.text.encode()) > _LARGEST else item


def _occurrences(file: DropFile) -> Iterator[Occurrence]:
    content = gzip.decompress(file.content) if file.content.startswith(b"\x1f\x8b") else file.content
    content = content.removeprefix(b"\xef\xbb\xbf")
    lines = content.split(b"\n")
    filled = [line for line in lines if line.strip()]
    if not filled:
        yield Occurrence(0, reason=reasons.EMPTY_FILE)
    elif len(filled) > 1 and (_is_object(filled[0]) or _follows_a_broken_line(filled)):
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield from _line(number, line)
    else:
        yield from _document(content)


def _is_object(line: bytes) -> bool:
    text = line.strip()
    return text.startswith(b"{") and text.endswith(b"}")


def _follows_a_broken_line(lines: list[bytes]) -> bool:
    """Tell whether the second line is a resource by itself, which it is in no file but one of lines."""
    try:
        second = json.loads(lines[1])
    except ValueError:
        return False
    return not lines[0].lstrip().startswith(b"[") and isinstance(second, dict) and "resourceType" in second


def _line(number: int, line: bytes) -> Iterator[Occurrence]:
    for item in _value(line, whole_line=True):
        if item.reason and len(line) > _LARGEST:
            yield Occurrence(number, reason=_TOO_LARGE)
            continue
        # A Bundle on a line: the line is the place, its entry the place within.
        yield replace(item, position=number, entry=item.position)


def _document(content: bytes) -> Iterator[Occurrence]:
    for item in _value(content, whole_line=False):
        yield replace(item, position=item.position or 1)


def _value(content: bytes, *, whole_line: bool) -> Iterator[Occurrence]:
    """Yield what one JSON value holds; positions are entries or elements, 0 for the value itself."""
    try:
        text = content.decode().strip(_BLANK)
    except UnicodeDecodeError:
        yield Occurrence(0, reason=reasons.INVALID_UTF8)
        return
    if not text.startswith("{" if whole_line else ("{", "[")):
        yield Occurrence(0, reason=reasons.NOT_AN_OBJECT)
        return
    value, reason = _parsed(text, whole_line=whole_line)
    if reason:
        yield Occurrence(0, reason=reason)
    elif isinstance(value, list):
        for number, (one, span) in enumerate(_elements(text, 0), 1):
            parts = _bundle(span, one) if _holds_entries(one) else [_resource(0, one, span)]
            yield from (replace(part, position=number, entry=part.position) for part in parts)
    elif _holds_entries(value):
        yield from _bundle(text, value)
    else:
        yield _resource(0, value, text)


def _parsed(text: str, *, whole_line: bool) -> tuple[Any, str]:
    """Return the value, or why there is none."""
    try:
        value, end = _read(text, 0)
    except (json.JSONDecodeError, _NoNumberError) as error:
        if not whole_line and (text.startswith("[") or '"Bundle"' in text):
            raise _unknown("holds several records and is broken") from error
        if isinstance(error, _NoNumberError):
            return None, reasons.NOT_A_JSON_NUMBER
        is_cut = error.pos >= len(text) - 1 or error.msg.startswith("Unterminated string")
        return None, reasons.TRUNCATED_JSON if is_cut else reasons.INVALID_JSON
    except RecursionError:
        return None, reasons.TOO_DEEP
    if not text[end:].strip(_BLANK):
        return value, ""
    if not whole_line:
        raise _unknown("holds several values")
    return None, reasons.TRAILING_CONTENT


def _holds_entries(value: Any) -> bool:
    return isinstance(value, dict) and value.get("resourceType") == "Bundle" and bool(value.get("entry"))


def _unknown(what: str) -> InputError:
    return InputError(f"the reference does not model a file that {what}", legal="lines, a resource, an array, a Bundle")


class _NoNumberError(ValueError):
    """A number that JSON does not have."""


def _read(text: str, start: int) -> tuple[Any, int]:
    def refuse(name: str) -> NoReturn:
        # NaN and Infinity are Python's, not JSON's.
        raise _NoNumberError(name)

    return json.JSONDecoder(parse_constant=refuse).raw_decode(text, start)


def _bundle(text: str, bundle: dict[str, Any]) -> Iterator[Occurrence]:
    place = next(start for name, start in _members(text, 0) if name == "entry")
    entries = list(_elements(text, place))
    urns = {}
    for content, _ in entries:
        resource = content.get("resource") if isinstance(content, dict) else None
        url = content.get("fullUrl") if isinstance(content, dict) else None
        if isinstance(resource, dict) and isinstance(url, str) and resource.get("resourceType"):
            urns[url] = f"{resource['resourceType']}/{resource.get('id') or _without_urn(url)}"
    for number, (content, span) in enumerate(entries, 1):
        if not isinstance(content, dict):
            yield Occurrence(number, reason=reasons.NOT_AN_OBJECT)
        elif "resource" in content and not _is_deletion(content):
            place = next(start for name, start in _members(span, 0) if name == "resource")
            exact = span[place : _read(span, place)[1]]
            yield _resource(number, content["resource"], exact, urns, _without_urn(content.get("fullUrl")))
        else:
            yield _deletion(number, bundle, content, span)


def _deletion(number: int, bundle: dict[str, Any], entry: dict[str, Any], text: str) -> Occurrence:
    """Return an entry that deletes a resource, with its time and version where it or its Bundle says them."""
    request = entry.get("request") or {}
    url = str(request.get("url", "")) if request.get("method") == "DELETE" else ""
    target = _TARGET.fullmatch(url)
    if target is None:
        return Occurrence(number, reason=reasons.CONDITIONAL_DELETE if "?" in url else reasons.EMPTY_ENTRY)
    response = entry.get("response") or {}
    made = bundle.get("timestamp") or (bundle.get("meta") or {}).get("lastUpdated")
    version = _ETAG.fullmatch(str(response.get("etag") or ""))
    return Occurrence(
        number,
        text=text,
        content=entry,
        resource_type=target[1],
        resource_id=target[2],
        version_id=version[1] if version else None,
        last_updated=response.get("lastModified") or made,
        deleted=True,
    )


def _is_deletion(entry: dict[str, Any]) -> bool:
    request = entry.get("request")
    return isinstance(request, dict) and request.get("method") == "DELETE"


def _resource(
    number: int, value: Any, text: str, urns: dict[str, str] | None = None, full_url_id: str | None = None
) -> Occurrence:
    if not isinstance(value, dict):
        return Occurrence(number, reason=reasons.NOT_AN_OBJECT)
    type_ = value.get("resourceType")
    if not isinstance(type_, str) or not _TYPE.fullmatch(type_):
        return Occurrence(number, reason=reasons.NO_RESOURCE_TYPE)
    meta = value.get("meta") if isinstance(value.get("meta"), dict) else {}
    return Occurrence(
        number,
        text=text,
        content=value,
        resource_type=type_,
        resource_id=value.get("id") or full_url_id,
        version_id=(meta or {}).get("versionId"),
        last_updated=(meta or {}).get("lastUpdated"),
        urns=urns or {},
    )


def _without_urn(url: Any) -> str | None:
    found = _URN.fullmatch(url) if isinstance(url, str) else None
    return found[1] if found else None


def _members(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Yield the names of an object and where their values begin."""
    place = _skip(text, start + 1)
    while text[place] != "}":
        name, place = _read(text, place)
        place = _skip(text, _skip(text, place) + 1)
        yield name, place
        place = _skip(text, _read(text, place)[1])
        place = _skip(text, place + 1) if text[place] == "," else place


def _elements(text: str, start: int) -> Iterator[tuple[Any, str]]:
    """Yield the elements of an array and their exact text."""
    place = _skip(text, start + 1)
    while text[place] != "]":
        value, end = _read(text, place)
        yield value, text[place:end]
        place = _skip(text, end)
        place = _skip(text, place + 1) if text[place] == "," else place


def _skip(text: str, place: int) -> int:
    while text[place : place + 1] in tuple(_BLANK):
        place += 1
    return place
