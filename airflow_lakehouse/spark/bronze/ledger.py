"""Which file versions were loaded, and when each was first seen.

A file is written down before it is loaded, with its ``batch_id`` and ``ingested_at``. A run that is killed half way
and started again therefore gives the same rows the same values, and adds only those that are missing.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_lakehouse.spark.bronze import ledger_rows
from airflow_lakehouse.spark.bronze.ledger_rows import (
    DISCOVERED,
    LOADED,
    Entry,
    after,
    as_row,
    came_at,
    key_of,
    newest,
    waiting,
)
from airflow_lakehouse.spark.iceberg import conflicts, pinned
from airflow_lakehouse.spark.iceberg.as_of import Now
from airflow_lakehouse.spark.iceberg.swap import swap
from airflow_lakehouse.spark.storage.catalog import find_table
from airflow_lakehouse.tables import ops

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from pyiceberg.catalog import Catalog
    from pyiceberg.expressions import BooleanExpression

    from airflow_lakehouse.spark.bronze.discovery import Found
    from airflow_lakehouse.spark.bronze.ledger_rows import Key, Row
    from airflow_lakehouse.spark.iceberg.as_of import AsOf


class Plan(NamedTuple):
    """A drop, as the ledger knows it.

    :param pending: what must be loaded, with the batch and time of a run that was killed where there is one.
    :param done: what was loaded.
    :param replaced: of these, those in whose place another version was found since, although they are there.
    """

    pending: list[Entry]
    done: list[Entry]
    replaced: list[Entry]


class Ledger:
    """The ledger of one warehouse, read and written through PyIceberg.

    :param catalog: the catalog; None for a warehouse that is still to be made.
    """

    def __init__(self, catalog: Catalog | None) -> None:
        self._table = find_table(catalog, ops.INGESTED_FILES.identifier) if catalog else None

    def rows(self, moment: AsOf | None = None) -> list[Row]:
        """Return every entry as it is stored.

        :param moment: when; None for now.
        """
        snapshot = (moment or Now()).snapshot(self._table) if self._table else None
        if self._table is None or snapshot is None:
            return []
        rows: list[Row] = pinned.scan(self._table, snapshot).to_arrow().to_pylist()
        return rows

    def entries(self, moment: AsOf | None = None) -> dict[Key, Row]:
        """Return every entry as it is stored, by file version.

        :param moment: when; None for now.
        """
        return {key_of(row): row for row in self.rows(moment)}

    def plan(self, found: Sequence[Found], job: str) -> Plan:
        """Split a drop into what must be loaded and what was.

        :param found: files of the drop.
        :param job: name of the job, part of the batch id.
        """
        known = self.entries()
        fresh = [item for item in found if (item.file.uri, item.file.etag) not in known]
        batch, now = batch_id(fresh, job), after(map(came_at, known.values()))
        gone = set(ledger_rows.replaced(known.values()))
        pending: list[Entry] = []
        done: list[Entry] = []
        for item in found:
            row = known.get((item.file.uri, item.file.etag))
            if row is None:
                pending.append(Entry(item, DISCOVERED, batch, now))
                continue
            entry = replace(Entry(item, row["state"], batch, now, row["records"], row["quarantined"]), **_first(row))
            (pending if entry.state == DISCOVERED else done).append(entry)
        return Plan(pending, done, [entry for entry in done if (entry.file.uri, entry.file.etag) in gone])

    def unread(self, found: Iterable[Found]) -> list[Found]:
        """Return the files that no run has loaded, and those of which nothing could be loaded: why may have passed.

        :param found: files.
        """
        done = {key_of(row) for row in self.rows() if row["state"] == LOADED}
        return [item for item in found if (item.file.uri, item.file.etag) not in done]

    def claim(self, entries: Sequence[Entry], run_id: str, before: Ledger | None = None) -> list[Entry]:
        """Write file versions down before they are loaded, and those that are back in their place.

        Another run may have found the same files at the same moment. Whoever writes first has named their batch and
        time, and both runs give the rows those: under two, the same row would have two values, by who came first.

        A version is back where the drop held it after another one had been found there. What was found after the drop
        was listed may have come after it, so where anything was, the next run will tell.

        :param entries: to be loaded, or replaced, from :meth:`plan`.
        :param run_id: the run that writes.
        :param before: the ledger as it was before the drop was listed; without it, nothing is taken for back.
        :return: the same entries, each as it is in the ledger.
        """
        last = newest(before.rows()) if before else {}
        return conflicts.retried(lambda: self._claim(entries, run_id, last), ops.INGESTED_FILES.name)

    def _claim(self, entries: Sequence[Entry], run_id: str, last: Mapping[str, tuple[datetime, str]]) -> list[Entry]:
        rows = self._reread()
        known, gone, now = {key_of(row): row for row in rows}, set(ledger_rows.replaced(rows)), newest(rows)
        claimed, changed = [], []
        for entry in entries:
            key = entry.file.uri, entry.file.etag
            found = replace(entry, **(_first(known[key]) if key in known else {}))
            is_back = key in gone and last.get(key[0]) == now[key[0]]
            if is_back:
                found = replace(found, returned_at=after(map(came_at, rows)))
            if is_back or key not in known:
                changed.append(found)
            claimed.append(found)
        if changed:
            self._swap(rows, changed, run_id)
        return claimed

    def write(self, entries: Sequence[Entry], run_id: str) -> None:
        """Replace the entries of these file versions, in one commit.

        :param entries: entries of whole batches; other files of the same batches are kept.
        :param run_id: the run that writes.
        """
        if entries and self._table is not None:
            conflicts.retried(lambda: self._swap(self._reread(), entries, run_id), ops.INGESTED_FILES.name)

    def _reread(self) -> list[Row]:
        if self._table is not None:
            self._table.refresh()
        return self.rows()

    def _swap(self, rows: list[Row], entries: Sequence[Entry], run_id: str) -> None:
        """Replace entries, unless anything was committed since ``rows`` were read: then nothing is written.

        :raises CommitFailedException: when something was.
        """
        from pyiceberg.expressions import In

        batches = sorted({entry.batch_id for entry in entries})
        written = {(entry.file.uri, entry.file.etag) for entry in entries}
        kept = [row for row in rows if row["batch_id"] in batches and key_of(row) not in written]
        batch_filter = In("batch_id", batches)  # type: ignore[call-arg,arg-type] # pydantic hides its constructor
        self._overwrite([*kept, *(as_row(entry, run_id) for entry in entries)], batch_filter)

    def replace(self, wanted: Mapping[Key, Row]) -> None:
        """Make the ledger hold these entries and no others: in one commit, or in none where it does.

        :param wanted: every entry, by file version.
        :raises CommitFailedException: when another run has written since this ledger was read.
        """
        from pyiceberg.expressions import AlwaysTrue

        if self.entries() != wanted:
            self._overwrite(list(wanted.values()), AlwaysTrue())

    def _overwrite(self, rows: list[Row], where: BooleanExpression) -> None:
        if self._table is not None:
            swap(self._table, rows, where)

    def withhold(self, moment: AsOf) -> None:
        """Say of every file that was not loaded at another moment, too, that it waits.

        To be done before rows move, in whichever direction: no file may count as loaded whose rows are not there yet.

        :param moment: where the rows move to.
        :raises CommitFailedException: as :meth:`replace`.
        """
        loaded = {key for key, row in self.entries(moment).items() if row["state"] != DISCOVERED}
        self.replace({key: row if key in loaded else waiting(row) for key, row in self.entries().items()})

    def set_back(self, moment: AsOf) -> int:
        """Say of every file what the ledger said at another moment; of files it did not know, that they wait.

        These keep their batch and time: loaded again, their rows are what they were.

        :param moment: where the rows have moved to.
        :return: how many files wait for the next load.
        :raises CommitFailedException: as :meth:`replace`.
        """
        wanted = {key: waiting(row) for key, row in self.entries().items()} | self.entries(moment)
        self.replace(wanted)
        return sum(row["state"] == DISCOVERED for row in wanted.values())

    def dead_versions(self, moment: AsOf | None = None) -> list[Key]:
        """Return the file versions that count no more (:func:`airflow_lakehouse.spark.bronze.ledger_rows.dead`).

        :param moment: when; None for now.
        """
        return ledger_rows.dead(self.rows(moment))


def _first(row: Row) -> dict[str, Any]:
    """Return what whoever wrote a version down first has said of it, by field of its entry."""
    told = ("batch_id", "ingested_at", "returned_at")
    return {**{name: row.get(name) for name in told}, "resumed": True}


def batch_id(found: Iterable[Found], job: str) -> str:
    """Return the id of a batch: the same files, parser versions and job give the same id.

    :param found: its files.
    :param job: name of the job.
    """
    identity = sorted(f"{item.file.uri}\0{item.file.etag}\0{item.parser}\0{item.parser_version}" for item in found)
    return sha256("\n".join([job, *identity]).encode()).hexdigest()[:32]
