"""Which version of a resource wins, and which observation holds its key: the rules, told one record at a time."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_lakehouse.testing.reference.records import Occurrence

_LOWEST: Final = datetime(1, 1, 1, tzinfo=UTC)
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LEAP: Final = re.compile(r"(?<=T\d\d:\d\d:)60")
_NUMBER: Final = re.compile(r'(?:W/)?"?([0-9]{1,64})"?')
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_NAMED: Final = re.compile(r"(?:[^?#]*/)?([A-Z][A-Za-z]+)/([^/?#| ]+)(?:/_history/[^/?#| ]+)?")
_LOINC: Final = "http://loinc.org"
Place = tuple[datetime, int]
"""Time and number of a version; the lowest of each where the source does not say it."""


@dataclass(frozen=True)
class Row:
    """One row of bronze.

    :param uri: its file.
    :param etag: version of that file.
    :param tick: which run, counted from one, first saw that version: ``ingested_at`` as the order of runs.
    :param source_system: who sent it.
    :param record: the record.
    """

    uri: str
    etag: str
    tick: int
    source_system: str
    record: Occurrence

    @property
    def place(self) -> Place:
        """Where its own time and version put it."""
        sent = self.record.version_id
        number = _NUMBER.fullmatch(sent) if isinstance(sent, str) else None
        return instant(self.record.last_updated) or _LOWEST, int(number[1]) if number else -1

    @property
    def tie(self) -> tuple[Any, ...]:
        """What decides between versions of one time and number: a deletion, then any order that is total."""
        body = sha256(self.record.text.encode()).hexdigest()
        return self.tick, self.record.deleted, body, self.uri, self.etag, self.record.position, self.record.entry


def instant(text: Any, *, days: bool = False) -> datetime | None:
    """Return a time as an instant; None for one that is partial, impossible or has no offset.

    :param text: the time as sent.
    :param days: whether a whole day counts as its midnight, UTC.
    """
    if not isinstance(text, str):
        return None
    try:
        if days and _DAY.fullmatch(text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        if not _INSTANT.fullmatch(text):
            return None
        second, leaps = _LEAP.subn("59", text)
        return datetime.fromisoformat(second).astimezone(UTC) + timedelta(seconds=leaps)
    except (ValueError, OverflowError):
        return None


def winners(rows: Iterable[Row]) -> list[tuple[Row, Place]]:
    """Return the row that stands for each resource, and the place it won with, without those silver has no row for.

    The order is time, then version as a number, then order of arrival, then deletions, then hash and place. A deletion
    that says no time stands right after the newest version that was there when it came, unless that is newer than the
    version it says (0005). Where a
    deletion wins, or a version with a modifier nobody understands, silver has no row.

    :param rows: live rows of one bronze table.
    """
    held: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.record.resource_id is not None:
            held[row.source_system, row.record.resource_id].append(row)
    found = []
    for rivals in held.values():
        best = max(rivals, key=lambda row: (*_placed(row, rivals), row.tie))
        if not best.record.deleted and not has_modifier(best.record.content):
            found.append((best, best.place))
    return found


def _placed(row: Row, rivals: list[Row]) -> tuple[Place, bool]:
    if not _is_timeless(row):
        return row.place, False
    there = [rival.place for rival in rivals if rival.tick <= row.tick and not _is_timeless(rival)]
    known = max(there, default=(_LOWEST, -1))
    own = row.place[1]
    if known == (_LOWEST, -1) or -1 < own < known[1]:
        return row.place, False
    return (known[0], max(own, known[1])), True


def _is_timeless(row: Row) -> bool:
    return row.record.deleted and row.place[0] == _LOWEST


def has_modifier(value: Any) -> bool:
    """Tell whether a resource, or a part of it, has a modifierExtension.

    :param value: the resource, or a part.
    """
    if isinstance(value, list):
        return any(map(has_modifier, value))
    if not isinstance(value, dict):
        return False
    return bool(value.get("modifierExtension")) or any(map(has_modifier, value.values()))


@dataclass(frozen=True)
class Observed:
    """An observation, or a component of one, as silver keys it.

    :param row: the winning version it comes from.
    :param place: the place that version won with.
    :param observation_id: its id; a component's is the observation's, ``#`` and its place.
    :param key: source system, patient, time and code; None where it lacks one.
    """

    row: Row
    place: Place
    observation_id: str
    key: tuple[str, str | None, datetime | None, str | None]

    @property
    def order(self) -> tuple[Any, ...]:
        """What decides who holds a key: a record that was not entered in error, then the newest."""
        is_valid = self.row.record.content.get("status") != "entered-in-error"
        return is_valid, self.place, self.row.tie, self.observation_id

    @property
    def missing(self) -> str:
        """Which part of the key it lacks, as a column; empty for none."""
        parts = zip(("patient_id", "obs_time", "obs_code"), self.key[1:], strict=True)
        return next((name for name, value in parts if value is None), "")


def observed(row: Row, place: Place) -> Iterator[Observed]:
    """Yield an observation and its components.

    :param row: the winning version.
    :param place: the place it won with.
    """
    content = row.record.content
    said = [content.get("effectiveDateTime"), content.get("effectiveInstant")]
    said += [(content.get("effectivePeriod") or {}).get("start"), content.get("issued")]
    time = instant(next((text for text in said if text is not None), None), days=True)
    patient = named(content.get("subject"), "Patient", row.record.urns)
    for number, part in enumerate([content, *(content.get("component") or [])]):
        identity = f"{row.record.resource_id}#{number}" if number else str(row.record.resource_id)
        yield Observed(row, place, identity, (row.source_system, patient, time, _code(part.get("code") or {})))


def named(reference: Any, resource_type: str, urns: dict[str, str]) -> str | None:
    """Return the id of the resource of a type that a reference names.

    :param reference: the reference.
    :param resource_type: such as ``Patient``.
    :param urns: how the record's Bundle resolves urns.
    """
    text = reference.get("reference") if isinstance(reference, dict) else None
    found = _NAMED.fullmatch(urns.get(text, text)) if isinstance(text, str) else None
    return found[2] if found and found[1] == resource_type else None


def _code(concept: dict[str, Any]) -> str | None:
    coded = [coding for coding in concept.get("coding") or [] if coding.get("code")]
    best = [coding for coding in coded if coding.get("system") == _LOINC] or coded
    return best[0]["code"] if best else concept.get("text")
