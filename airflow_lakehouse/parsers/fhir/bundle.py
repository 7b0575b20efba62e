"""Cutting a Bundle into its entries.

Follows https://hl7.org/fhir/R4/bundle.html: an entry carries a resource, or a request that deletes one; references
inside the Bundle may name another entry's ``fullUrl``, which only the Bundle can resolve.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.parsers.fhir import json_spans
from airflow_lakehouse.parsers.fhir.json_spans import MalformedJsonError, Span
from airflow_lakehouse.parsers.fhir.layout import is_at_end
from airflow_lakehouse.parsers.fhir.reasons import (
    AMBIGUOUS_ENTRY,
    CONDITIONAL_DELETE,
    EMPTY_ENTRY,
    INVALID_JSON,
    NOT_AN_OBJECT,
    TRUNCATED_JSON,
)
from airflow_lakehouse.parsing.model import Record, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

REFS: Final = "refs"
"""Attribute: JSON object of the urns in the record that its Bundle resolves, to ``Type/id``."""
DELETED: Final = "deleted"
"""Attribute: ``Type/id`` of the resource that the entry deletes; the body is then the entry itself."""
DELETED_AT: Final = "deleted_at"
"""Attribute: when the resource was deleted, as the entry or its Bundle says it."""
DELETED_VERSION: Final = "deleted_version"
"""Attribute: version the deletion made, as the entry says it."""
FULL_URL_ID: Final = "full_url_id"
"""Attribute: id in the entry's fullUrl or request, for a resource without id."""

_URN: Final = re.compile(r"urn:(?:uuid|oid):([0-9A-Za-z.\-]+)")
_ETAG: Final = re.compile(r'(?:W/)?"?([A-Za-z0-9\-.]{1,64})"?')
# Ids are taken as they come: one that FHIR does not allow was loaded, and can be deleted.
_NAMED: Final = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([^/?#|\s]+)/?")


@dataclass(frozen=True, slots=True)
class _Entry:
    place: Span
    resource: Span | None
    content: dict[str, Any]


def cut_bundle(text: str) -> Iterator[Record | Rejected]:
    """Yield one record an entry; positions are 1-based entries.

    A Bundle without entries is itself the record, at position 0: what was sent must be somewhere.

    :param text: the Bundle. Where it breaks off, the entries before that are yielded and the rest is one reject.
    """
    entries, rest = _entries(text)
    if not entries and rest is None:
        yield Record(0, _bytes(text))
    known = _full_urls(entry for entry in entries if not isinstance(entry, Rejected))
    made_at = _made_at(text) if any(not isinstance(entry, Rejected) and _deletes(entry) for entry in entries) else None
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, Rejected):
            yield entry
        else:
            yield _record(number, text, entry, known, made_at)
    if rest is not None:
        yield rest


def _entries(text: str) -> tuple[list[_Entry | Rejected], Rejected | None]:
    found: list[_Entry | Rejected] = []
    place = 0
    try:
        for name, start in json_spans.members(text, 0):
            if name != "entry":
                continue
            if text[start] != "[":
                return found, Rejected(0, NOT_AN_OBJECT, "Bundle.entry is not an array", _bytes(text))
            for span in json_spans.elements(text, start):
                found.append(_entry(len(found) + 1, text, span))
                place = span.end
    except MalformedJsonError as error:
        reason = TRUNCATED_JSON if is_at_end(error, text) else INVALID_JSON
        return found, Rejected(len(found) + 1, reason, str(error), _bytes(text[place:]))
    return found, None


def _entry(number: int, text: str, span: Span) -> _Entry | Rejected:
    if text[span.start] != "{":
        return Rejected(number, NOT_AN_OBJECT, "the entry is not an object", _bytes(span.of(text)))
    content = json_spans.value(text, span.start)
    found = [
        json_spans.value_span(text, place)
        for name, place in json_spans.members(text, span.start)
        # One that is null says nothing, as if it were not there.
        if name == "resource" and text[place] != "n"
    ]
    if len(found) > 1:
        return Rejected(number, AMBIGUOUS_ENTRY, "the entry has several resources", _bytes(span.of(text)))
    if found and text[found[0].start] != "{":
        return Rejected(number, NOT_AN_OBJECT, "the entry's resource is not an object", _bytes(span.of(text)))
    return _Entry(span, found[0] if found else None, content)


def _record(number: int, text: str, entry: _Entry, known: dict[str, str], made_at: str | None) -> Record | Rejected:
    if entry.resource is None or _deletes(entry):
        return _deleted(number, _bytes(entry.place.of(text)), entry.content, made_at)
    body_text = entry.resource.of(text)
    attributes: dict[str, str] = {}
    refs = {urn: known[urn] for urn in sorted({found[0] for found in _URN.finditer(body_text)}) if urn in known}
    if refs:
        attributes[REFS] = json.dumps(refs, separators=(",", ":"))
    resource = entry.content["resource"]
    own = _id_of(entry.content, resource) if isinstance(resource, dict) and not resource.get("id") else None
    if own:
        attributes[FULL_URL_ID] = own
    return Record(number, _bytes(body_text), attributes=attributes or None)


def _deletes(entry: _Entry) -> bool:
    """Tell whether an entry takes a resource away; it may say once more what that was."""
    return entry.resource is None or _deleted_url(entry.content) is not None


def _deleted(number: int, body: bytes, content: dict[str, Any], made_at: str | None) -> Record | Rejected:
    url = _deleted_url(content)
    target = _NAMED.fullmatch(url or "")
    if target is None and "?" in (url or ""):
        return Rejected(number, CONDITIONAL_DELETE, "the entry deletes what a search finds", body)
    if target is None:
        return Rejected(number, EMPTY_ENTRY, "the entry has neither a resource nor a deletion", body)
    return Record(number, body, attributes={DELETED: f"{target[1]}/{target[2]}", **_deletion(content, made_at)})


def _id_of(content: dict[str, Any], resource: dict[str, Any]) -> str | None:
    """Return the id that an entry gives its resource: in its fullUrl, else in the URL it was put to."""
    request = content.get("request")
    put = isinstance(request, dict) and request.get("method") == "PUT"
    for url in (content.get("fullUrl"), request.get("url") if isinstance(request, dict) and put else None):
        if not isinstance(url, str):
            continue
        if _URN.fullmatch(url):
            return _without_urn(url)
        named = _NAMED.fullmatch(url)
        if named and named[1] == resource.get("resourceType"):
            return named[2]
    return None


def _deletion(content: dict[str, Any], made_at: str | None) -> dict[str, str]:
    """Return when a resource was deleted, and as which version.

    A history says it of each entry. The ``deleted`` files of a bulk export say it of the Bundle: that was the state
    when it was made.
    """
    response = content.get("response")
    said = response if isinstance(response, dict) else {}
    at = said.get("lastModified") or made_at
    etag = _ETAG.fullmatch(str(said.get("etag") or ""))
    found = {DELETED_AT: at, DELETED_VERSION: etag[1] if etag else None}
    # What is not ASCII is no time, and may be what no text column can hold.
    return {name: value for name, value in found.items() if isinstance(value, str) and value.isascii()}


def _made_at(text: str) -> str | None:
    """Return when a Bundle was made, by its ``timestamp`` or ``meta.lastUpdated``."""
    found: dict[str, str] = {}
    with suppress(MalformedJsonError):
        for name, start in json_spans.members(text, 0):
            if name in ("timestamp", "meta"):
                value = json_spans.value(text, start)
                at = value.get("lastUpdated") if isinstance(value, dict) else value
                found[name] = str(at or "")
    return found.get("timestamp") or found.get("meta") or None


def _full_urls(entries: Iterator[_Entry]) -> dict[str, str]:
    known = {}
    for entry in entries:
        full_url, resource = entry.content.get("fullUrl"), entry.content.get("resource")
        if isinstance(full_url, str) and isinstance(resource, dict) and resource.get("resourceType"):
            identity = resource.get("id") or _without_urn(full_url)
            known[full_url] = f"{resource['resourceType']}/{identity}"
    return known


def _deleted_url(content: dict[str, Any]) -> str | None:
    request = content.get("request")
    if not isinstance(request, dict) or request.get("method") != "DELETE":
        return None
    return str(request.get("url", ""))


def _without_urn(url: str) -> str:
    return _URN.sub(r"\1", url)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
