"""What the ledger stores of a file version: its states, which of two versions is the newer, and which are dead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.parsing.model import SourceFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from airflow_lakehouse.spark.bronze.discovery import Found

DISCOVERED: Final = "discovered"
LOADED: Final = "loaded"
QUARANTINED: Final = "quarantined"
Row = dict[str, Any]
"""An entry as it is stored, by column."""
Key = tuple[str, str]
"""URI of a file, and version of its content."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file version in the ledger.

    :param found: the file and its parser.
    :param state: discovered, loaded or quarantined (no record of it could be loaded).
    :param batch_id: batch it was first seen in.
    :param ingested_at: when, UTC.
    :param records: records found in it.
    :param quarantined: records of it that were rejected.
    :param resumed: whether another run has written it down, and may have loaded some of it.
    :param returned_at: when it was last found in its place again, UTC; None if it never was.
    """

    found: Found
    state: str
    batch_id: str
    ingested_at: datetime
    records: int | None = None
    quarantined: int | None = None
    resumed: bool = False
    returned_at: datetime | None = None

    @property
    def file(self) -> SourceFile:
        """The file."""
        return self.found.file

    def loaded(self, records: int, quarantined: int) -> Entry:
        """Return the entry after its load.

        :param records: records found.
        :param quarantined: of these, rejected.
        """
        # A file may be whole and hold nothing, as the Bundle of a search without a match.
        state = QUARANTINED if records == quarantined and records else LOADED
        return replace(self, state=state, records=records, quarantined=quarantined)


def key_of(row: Row) -> Key:
    """Return which file version an entry is about.

    :param row: the entry as it is stored.
    """
    return row["source_uri"], row["source_etag"]


def came_at(row: Row) -> datetime:
    """Return when a version last came into its place: when it was first seen, or when it was back.

    :param row: the entry as it is stored; by a release that did not know this, too.
    """
    came: datetime = row.get("returned_at") or row["ingested_at"]
    return came


def _order(row: Row) -> tuple[datetime, str]:
    """Return what tells which of two versions of a file is the newer."""
    return came_at(row), row["source_etag"]


def after(times: Iterable[datetime]) -> datetime:
    """Return the time of a batch that begins now: later than every time in the ledger, whatever the clocks say.

    With a clock that runs behind, the new version of an overwritten file would count as the old one.

    :param times: of the entries there are.
    """
    return max([datetime.now(UTC), *(time + timedelta(microseconds=1) for time in times)])


def dead(rows: Collection[Row]) -> list[Key]:
    """Return the file versions in whose place a newer version of the same file was loaded.

    Those that were written down and never loaded are among them: a load of theirs may have been killed half way.

    :param rows: every entry as it is stored.
    """
    return _before(rows, newest(row for row in rows if row["state"] != DISCOVERED))


def replaced(rows: Collection[Row]) -> list[Key]:
    """Return the file versions in whose place another one was found later, whether or not that was loaded.

    :param rows: every entry as it is stored.
    """
    return _before(rows, newest(rows))


def _before(rows: Iterable[Row], last: Mapping[str, tuple[datetime, str]]) -> list[Key]:
    return sorted(key_of(row) for row in rows if _order(row) < last.get(row["source_uri"], _order(row)))


def returned(rows: Iterable[Row]) -> list[Key]:
    """Return the file versions that were replaced and then found in their place again, whatever came after.

    :param rows: every entry as it is stored.
    """
    return sorted(key_of(row) for row in rows if row.get("returned_at"))


def newest(rows: Iterable[Row]) -> dict[str, tuple[datetime, str]]:
    """Return, for each file, when the newest of its versions came into its place, and which one that is.

    :param rows: entries as they are stored.
    """
    found: dict[str, tuple[datetime, str]] = {}
    for row in rows:
        uri = row["source_uri"]
        found[uri] = max(found.get(uri, _order(row)), _order(row))
    return found


def waiting(row: Row) -> Row:
    """Return an entry of a file that is to be loaded, again or at all.

    :param row: the entry as it is stored.
    """
    return {**row, "state": DISCOVERED, "records": None, "quarantined": None}


def file_of(row: Row, textract: str) -> SourceFile:
    """Return the file version an entry is about.

    :param row: the entry as it is stored.
    :param textract: root of what engines have read from documents.
    """
    day = row["dt"].isoformat() if row["dt"] else None
    return SourceFile(*key_of(row), row["size"] or 0, day, row["source_system"], textract)


def loaded_entry(row: Row, found: Found) -> Entry:
    """Return the entry of a file version that was loaded, to be loaded once more as it was then.

    :param row: the entry as it is stored.
    :param found: the file, with who reads it now.
    """
    counts = (row["records"], row["quarantined"])
    return Entry(found, LOADED, row["batch_id"], row["ingested_at"], *counts, returned_at=row["returned_at"])


def as_row(entry: Entry, run_id: str) -> Row:
    """Return an entry as it is stored.

    :param entry: the entry.
    :param run_id: the run that writes it.
    """
    file = entry.file
    return {
        "source_uri": file.uri,
        "source_etag": file.etag,
        "size": file.size,
        "parser": entry.found.parser,
        "parser_version": entry.found.parser_version,
        "state": entry.state,
        "records": entry.records,
        "quarantined": entry.quarantined,
        "dt": date.fromisoformat(file.dt) if file.dt else None,
        "source_system": file.source_system,
        "batch_id": entry.batch_id,
        "ingested_at": entry.ingested_at,
        "run_id": run_id,
        "returned_at": entry.returned_at,
    }
