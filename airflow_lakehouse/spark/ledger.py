"""Which file versions were loaded, and when each was first seen.

A file is written down before it is loaded, with its ``batch_id`` and ``ingested_at``. A run that is killed half way
and started again therefore gives the same rows the same values, and adds only those that are missing.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.spark.as_of import Now
from airflow_lakehouse.spark.catalog import find_table
from airflow_lakehouse.tables import ops

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.parsing import SourceFile
    from airflow_lakehouse.spark.as_of import AsOf
    from airflow_lakehouse.spark.discovery import Found

DISCOVERED: Final = "discovered"
LOADED: Final = "loaded"
QUARANTINED: Final = "quarantined"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file version in the ledger.

    :param found: the file and its parser.
    :param state: discovered, loaded or quarantined (no record of it could be loaded).
    :param batch_id: batch it was first seen in.
    :param ingested_at: when, UTC.
    :param records: records found in it.
    :param quarantined: records of it that were rejected.
    """

    found: Found
    state: str
    batch_id: str
    ingested_at: datetime
    records: int | None = None
    quarantined: int | None = None

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


Key = tuple[str, str]
"""URI of a file, and version of its content."""


class Ledger:
    """The ledger of one warehouse, read and written through PyIceberg.

    :param catalog: the catalog.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._table = find_table(catalog, ops.INGESTED_FILES.identifier)

    def rows(self) -> list[dict[str, Any]]:
        """Return every entry as it is stored."""
        return list(self.entries().values())

    def plan(self, found: Sequence[Found], job: str) -> tuple[list[Entry], list[Entry]]:
        """Split a drop into what must be loaded and what was.

        :param found: files of the drop.
        :param job: name of the job, part of the batch id.
        :return: entries to load, with the batch and time of a run that was killed where there is one; entries done.
        """
        known = {(row["source_uri"], row["source_etag"]): row for row in self.rows()}
        fresh = [item for item in found if (item.file.uri, item.file.etag) not in known]
        batch, now = batch_id(fresh, job), datetime.now(UTC)
        pending: list[Entry] = []
        done: list[Entry] = []
        for item in found:
            row = known.get((item.file.uri, item.file.etag))
            if row is None:
                pending.append(Entry(item, DISCOVERED, batch, now))
                continue
            entry = Entry(item, row["state"], row["batch_id"], row["ingested_at"], row["records"], row["quarantined"])
            (pending if entry.state == DISCOVERED else done).append(entry)
        return pending, done

    def unloaded(self, found: Iterable[Found]) -> list[Found]:
        """Return the files that no run has loaded.

        :param found: files.
        """
        done = {(row["source_uri"], row["source_etag"]) for row in self.rows() if row["state"] != DISCOVERED}
        return [item for item in found if (item.file.uri, item.file.etag) not in done]

    def write(self, entries: Sequence[Entry], run_id: str) -> None:
        """Replace the entries of these file versions, in one commit.

        :param entries: entries of whole batches; other files of the same batches are kept.
        :param run_id: the run that writes.
        """
        import pyarrow as pa
        from pyiceberg.expressions import In

        if not entries or self._table is None:
            return
        batches = sorted({entry.batch_id for entry in entries})
        written = {(entry.file.uri, entry.file.etag) for entry in entries}
        kept = [
            row
            for row in self.rows()
            if row["batch_id"] in batches and (row["source_uri"], row["source_etag"]) not in written
        ]
        batch_filter = In("batch_id", batches)  # type: ignore[call-arg,arg-type] # pydantic hides its constructor
        schema = self._table.schema().as_arrow()
        rows = pa.Table.from_pylist([*kept, *(as_row(entry, run_id) for entry in entries)], schema=schema)
        with warnings.catch_warnings():
            # It tells that it copies on write, and that a first batch replaces nothing; both are meant.
            warnings.simplefilter("ignore", UserWarning)
            self._table.overwrite(rows, overwrite_filter=batch_filter)

    def entries(self, moment: AsOf | None = None) -> dict[Key, dict[str, Any]]:
        """Return every entry as it is stored, by file version.

        :param moment: when; None for now.
        """
        snapshot = (moment or Now()).snapshot(self._table) if self._table else None
        if self._table is None or snapshot is None:
            return {}
        rows = self._table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().to_pylist()
        return {(row["source_uri"], row["source_etag"]): row for row in rows}

    def replace(self, wanted: Mapping[Key, dict[str, Any]]) -> None:
        """Make the ledger hold these entries and no others: in one commit, or in none where it does.

        :param wanted: every entry, by file version.
        """
        import pyarrow as pa

        if self._table is None or self.entries() == wanted:
            return
        rows = pa.Table.from_pylist(list(wanted.values()), schema=self._table.schema().as_arrow())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            self._table.overwrite(rows)

    def withhold(self, moment: AsOf) -> None:
        """Say of every file that was not loaded at another moment, too, that it waits.

        To be done before rows move, in whichever direction: no file may count as loaded whose rows are not there yet.

        :param moment: where the rows move to.
        """
        loaded = {key for key, row in self.entries(moment).items() if row["state"] != DISCOVERED}
        self.replace({key: row if key in loaded else waiting(row) for key, row in self.entries().items()})

    def set_back(self, moment: AsOf) -> int:
        """Say of every file what the ledger said at another moment; of files it did not know, that they wait.

        These keep their batch and time: loaded again, their rows are what they were.

        :param moment: where the rows have moved to.
        :return: how many files wait for the next load.
        """
        wanted = {key: waiting(row) for key, row in self.entries().items()} | self.entries(moment)
        self.replace(wanted)
        return sum(row["state"] == DISCOVERED for row in wanted.values())

    def dead_versions(self, moment: AsOf | None = None) -> list[Key]:
        """Return the file versions that a newer version of the same file has replaced.

        Also one whose load never ended: nothing can end it any more, and what it left in bronze is not live.

        :param moment: when; None for now.
        """
        entries = self.entries(moment)
        newest: dict[str, tuple[datetime, str]] = {}
        for (uri, _), row in entries.items():
            if row["state"] != DISCOVERED:
                newest[uri] = max(newest.get(uri, _age(row)), _age(row))
        return [key for key, row in entries.items() if key[0] in newest and _age(row) < newest[key[0]]]


def _age(row: dict[str, Any]) -> tuple[datetime, str]:
    return row["ingested_at"], row["source_etag"]


def batch_id(found: Iterable[Found], job: str) -> str:
    """Return the id of a batch: the same files, parser versions and job give the same id.

    :param found: its files.
    :param job: name of the job.
    """
    identity = sorted(f"{item.file.uri}\0{item.file.etag}\0{item.parser}\0{item.parser_version}" for item in found)
    return sha256("\n".join([job, *identity]).encode()).hexdigest()[:32]


def waiting(row: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of a file that is to be loaded, again or at all.

    :param row: the entry as it is stored.
    """
    return {**row, "state": DISCOVERED, "records": None, "quarantined": None}


def as_row(entry: Entry, run_id: str) -> dict[str, Any]:
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
    }
