"""What the history of one table tells: what it was at a time, and whether a snapshot still is part of it.

Expiry takes snapshots out of a history, and with them what they could tell: nothing here takes "gone" for "never was".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import SnapshotNotFoundError
from airflow_lakehouse.spark.engine.session import STAMP

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

FIRST: Final = "first"
"""Snapshot property, below the common prefix: there was nothing on main before. A branch of an empty table begins with
an empty snapshot, so the first one that readers see need not be the first that was made."""
EMPTIED: Final = "lakehouse.emptied"
"""Table property: when the table was set back to before its first commit, in milliseconds since 1970, commas between.
Iceberg's own log has entries for snapshots alone, and would name the one before."""


def at_time(table: IcebergTable, milliseconds: int) -> Snapshot | None:
    """Return the snapshot readers saw at a time; None where there was none yet.

    :param table: the table.
    :param milliseconds: since 1970, UTC.
    :raises SnapshotNotFoundError: when that part of the history has expired.
    """
    before = [entry for entry in table.history() if entry.timestamp_ms <= milliseconds]
    if not before and began_after(table, milliseconds):
        return None
    if before and any(before[-1].timestamp_ms <= one <= milliseconds for one in _emptied(table)):
        return None
    snapshot = table.snapshot_by_id(before[-1].snapshot_id) if before else None
    if snapshot is None:
        raise SnapshotNotFoundError(
            f"what {'.'.join(table.name())} was at that time has expired",
            remedy="ask for a later time, or for a run that is still tagged: lakehouse runs",
        )
    return snapshot


def began_after(table: IcebergTable, milliseconds: int) -> bool:
    """Tell whether a table had its first commit after a time, or none at all.

    :param table: the table.
    :param milliseconds: since 1970, UTC.
    """
    seen = table.history()
    first = table.snapshot_by_id(seen[0].snapshot_id) if seen else min(table.snapshots(), key=_number, default=None)
    if first is None:
        # Of a history whose first entry has expired, nobody can tell.
        return not seen
    told = first.summary.additional_properties if first.summary else {}
    began = seen[0].timestamp_ms if seen else first.timestamp_ms
    return (_number(first) == 1 or f"{STAMP}{FIRST}" in told) and began > milliseconds


def has_left(table: IcebergTable, snapshot_id: int, head: Snapshot | None) -> bool:
    """Tell whether a snapshot is known to be neither a head nor one of its ancestors.

    Where expiry has broken the line between the two, it may well be one, and nothing is known.

    :param table: the table.
    :param snapshot_id: the snapshot.
    :param head: the head; None for a table without rows, of which no snapshot is part.
    """
    from pyiceberg.table.snapshots import ancestors_of

    snapshot = table.snapshot_by_id(snapshot_id)
    line = list(ancestors_of(head, table.metadata))
    if snapshot is None or snapshot in line:
        return False
    return not line or _number(snapshot) >= _number(line[-1])


def emptied_with(table: IcebergTable, milliseconds: int) -> str:
    """Return the value of :data:`EMPTIED` with one more time in it.

    :param table: the table.
    :param milliseconds: since 1970, UTC.
    """
    return ",".join(map(str, [*_emptied(table), milliseconds]))


def _emptied(table: IcebergTable) -> list[int]:
    return [int(one) for one in table.properties.get(EMPTIED, "").split(",") if one]


def _number(snapshot: Snapshot) -> int:
    return snapshot.sequence_number or 0
