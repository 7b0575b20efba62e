"""What happened to an Iceberg table, by its snapshots: the table's metadata file alone is read.

Two kinds of snapshots are nobody's news. ``replace`` is how compaction commits: the same rows in other files. And a
commit may be empty, made to carry a property such as a watermark. Whatever waits for data passes over both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.iceberg import read_catalog
from airflow_lakehouse.hooks.looking import MILLISECONDS, NOTHING, Finding, Look, iso, milliseconds
from airflow_lakehouse.hooks.partitions import identifier_of, live_rows
from airflow_lakehouse.hooks.profile import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

MAIN: Final = "main"
LISTED_SNAPSHOTS: Final = 100
"""How many snapshots a finding names: XCom must stay small however often a table is committed to."""

_REPLACE: Final = "replace"
_TOTAL: Final = "total-data-files"
_CHANGES: Final = (
    "added-data-files",
    "deleted-data-files",
    "added-delete-files",
    "removed-delete-files",
    "added-records",
    "deleted-records",
)


def changes_rows(snapshot: Snapshot) -> bool:
    """Tell whether a commit may have changed what a table says: no compaction, and not empty.

    Writers leave counts of zero out, so a summary that has totals and no change is an empty commit. One without totals
    says nothing, and is taken for data.

    :param snapshot: of a table's metadata.
    """
    summary = snapshot.summary
    if summary is None:
        return True
    if summary.operation.value == _REPLACE:
        return False
    return any(_count(snapshot, name) for name in _CHANGES) or summary[_TOTAL] is None


def history(table: IcebergTable, branch: str = MAIN) -> Iterator[Snapshot]:
    """Go through the snapshots of a branch, newest first, as far as they have not expired.

    :param table: a loaded table.
    :param branch: its branch; one that is not there has none.
    """
    snapshot = table.current_snapshot() if branch == MAIN else table.snapshot_by_name(branch)
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.metadata.snapshot_by_id(parent)


@dataclass(frozen=True)
class TableLook(Look):
    """A look at one table.

    :param table: with or without its namespace.
    :param branch: branch of the table.
    :param lakehouse_conn_id: connection of the catalog, of any type of :mod:`airflow_lakehouse.hooks.iceberg`.
    :param aws_conn_id: Airflow's AWS connection for Glue and S3.
    """

    table: str
    branch: str = MAIN
    lakehouse_conn_id: str = DEFAULT_CONN_ID
    aws_conn_id: str | None = None

    def look(self, cursor: dict[str, Any] | None = None) -> Finding:
        """Read the table's metadata once. A table that does not exist yet is not ready."""
        return read_catalog(self.lakehouse_conn_id, self.aws_conn_id, lambda catalog: self._look_in(catalog, cursor))

    def _look_in(self, catalog: Catalog | None, cursor: dict[str, Any] | None) -> Finding:
        from airflow_lakehouse.spark.storage.catalog import find_table

        identifier = identifier_of(self.table)
        about = {"table": identifier, "branch": self.branch}
        table = find_table(catalog, identifier) if catalog else None
        if table is None:
            return Finding(False, {**about, "snapshot_id": None}, cursor)
        finding = self._judge(table, cursor)
        return Finding(finding.ready, {**about, **finding.found}, finding.cursor)

    def _judge(self, table: IcebergTable, cursor: dict[str, Any] | None) -> Finding:
        """Look at a table that exists."""
        raise NotImplementedError


@dataclass(frozen=True)
class SnapshotLook(TableLook):
    """Look for commits of data: ``snapshot_ids`` (oldest first), their count, and the rows they added and deleted.

    :param since: commits before this moment do not count; ISO 8601 or seconds since the epoch.
    :param after_snapshot_id: only what was committed after this snapshot counts.
    :param lookback_seconds: without a cursor, commits older than this do not count; None takes them all.
    """

    since: str | float | None = None
    after_snapshot_id: int | str | None = None
    lookback_seconds: float | None = None

    def _judge(self, table: IcebergTable, cursor: dict[str, Any] | None) -> Finding:
        after = (cursor or {}).get("snapshot_id") or _snapshot_id(self.after_snapshot_id)
        line = history(table, self.branch)
        commits, is_known = [], False
        for one in line:
            # Where the line leads back to it, what came after is known, whatever the writers' clocks say.
            is_known = one.snapshot_id == after
            if is_known:
                break
            commits.append(one)
        floor = (milliseconds(self.since) or 0) if is_known else self._floor(table, after, cursor)
        new = [one for one in reversed(commits) if changes_rows(one) and one.timestamp_ms >= floor]
        head = commits[0] if commits else None
        if head is not None:
            cursor = {"snapshot_id": head.snapshot_id, "timestamp_ms": head.timestamp_ms}
        return Finding(bool(new), {**_told(new[-1] if new else None), **_summed(new)}, cursor)

    def _floor(self, table: IcebergTable, after: int | None, cursor: dict[str, Any] | None) -> int:
        """Return the earliest moment a commit may have to be news.

        The snapshot the cursor names may have expired, or been rolled back and its line left. Then its time decides:
        without it, all of the table's history would be news again.
        """
        moments: list[int] = [milliseconds(self.since) or 0, (cursor or {}).get("timestamp_ms", 0)]
        known = table.metadata.snapshot_by_id(after) if after else None
        if known is not None:
            moments.append(known.timestamp_ms)
        if cursor is None and after is None and self.lookback_seconds is not None:
            moments.append(round((time.time() - self.lookback_seconds) * MILLISECONDS))
        return max(moments)


@dataclass(frozen=True)
class FreshnessLook(TableLook):
    """Look whether data was committed lately: ``age_seconds`` of the newest commit of data.

    :param max_age_seconds: how old it may be.
    """

    max_age_seconds: float | str = 86400.0

    def _judge(self, table: IcebergTable, cursor: dict[str, Any] | None) -> Finding:  # noqa: ARG002 - it knows no before
        newest = next(filter(changes_rows, history(table, self.branch)), None)
        if newest is None:
            return Finding(False, {**_told(None), "age_seconds": None})
        # Clocks of two machines may differ: what was committed a second from now is new.
        age = max(0.0, time.time() - newest.timestamp_ms / MILLISECONDS)
        return Finding(age <= float(self.max_age_seconds), {**_told(newest), "age_seconds": round(age, 3)})


@dataclass(frozen=True)
class RowCountLook(TableLook):
    """Look how many rows a table has: ``rows``.

    :param min_rows: fewest rows that will do.
    :param max_rows: most rows that will do; None allows any number.
    """

    min_rows: int | str = 1
    max_rows: int | str | None = None

    def _judge(self, table: IcebergTable, cursor: dict[str, Any] | None) -> Finding:  # noqa: ARG002 - it knows no before
        head = next(history(table, self.branch), None)
        rows = 0 if head is None else _rows(table, head)
        most = rows if self.max_rows in NOTHING else int(self.max_rows or 0)
        return Finding(int(self.min_rows) <= rows <= most, {**_told(head), "rows": rows})


def _rows(table: IcebergTable, snapshot: Snapshot) -> int:
    """Count by the totals of the summary; where there are delete files, by those that still belong to a data file."""
    deletes = any(_count(snapshot, f"total-{kind}-deletes") for kind in ("position", "equality"))
    if snapshot.summary is not None and snapshot.summary["total-records"] is not None and not deletes:
        return _count(snapshot, "total-records")
    return live_rows(table.scan(snapshot_id=snapshot.snapshot_id).plan_files())


def _told(snapshot: Snapshot | None) -> dict[str, Any]:
    if snapshot is None:
        return {"snapshot_id": None, "snapshot_time": None, "operation": None}
    operation = snapshot.summary.operation.value if snapshot.summary else None
    told = {"snapshot_id": snapshot.snapshot_id, "snapshot_time": iso(snapshot.timestamp_ms)}
    return {**told, "operation": operation}


def _summed(snapshots: list[Snapshot]) -> dict[str, Any]:
    listed = [one.snapshot_id for one in snapshots[-LISTED_SNAPSHOTS:]]
    deleted = ("deleted-records", "added-position-deletes")
    return {
        "snapshot_ids": listed,
        "snapshots": len(snapshots),
        "rows_added": sum(_count(one, "added-records") for one in snapshots),
        "rows_deleted": sum(_count(one, name) for one in snapshots for name in deleted),
    }


def _count(snapshot: Snapshot, name: str) -> int:
    text = snapshot.summary[name] if snapshot.summary is not None else None
    return int(text) if text and str(text).isdigit() else 0


def _snapshot_id(given: int | str | None) -> int | None:
    if given in NOTHING:
        return None
    try:
        return int(given)
    except ValueError as error:
        raise ConfigurationError(f"{given!r} is no snapshot id", legal="a whole number") from error
