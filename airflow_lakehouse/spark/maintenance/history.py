"""The snapshots of a table, and which of them somebody still needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_lakehouse.spark.silver import delta

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.table import Table as IcebergTable

    from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot.

    :param id: its id.
    :param parent: id of the one before; None for the first. The one it names may be gone.
    :param at: when it was committed, UTC.
    """

    id: int
    parent: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Ref:
    """A tag, or a branch other than main.

    :param snapshot: id of its newest snapshot.
    :param max_age: how long after that snapshot it is kept; None for ever.
    """

    snapshot: int
    max_age: timedelta | None = None


@dataclass(frozen=True)
class History:
    """What is left of a table's past.

    :param head: id of the snapshot readers see; None while the table is empty.
    :param snapshots: all there are.
    :param refs: tags and branches.
    """

    head: int | None
    snapshots: tuple[Snapshot, ...] = ()
    refs: tuple[Ref, ...] = ()

    @cached_property
    def by_id(self) -> dict[int, Snapshot]:
        """The snapshots by their id."""
        return {snapshot.id: snapshot for snapshot in self.snapshots}

    def line(self, head: int | None) -> tuple[Snapshot, ...]:
        """Return a snapshot and those it came from, newest first, as far back as they go without a gap.

        :param head: where to begin.
        """
        found, at = [], self.by_id.get(head) if head is not None else None
        while at is not None:
            found.append(at)
            at = self.by_id.get(at.parent) if at.parent is not None else None
        return tuple(found)


def history_of(table: IcebergTable) -> History:
    """Return the history of a table, from its metadata file.

    :param table: the table.
    """
    from pyiceberg.table.refs import MAIN_BRANCH

    current = table.current_snapshot()
    snapshots = tuple(Snapshot(one.snapshot_id, one.parent_snapshot_id, _time(one)) for one in table.snapshots())
    refs = tuple(
        Ref(ref.snapshot_id, timedelta(milliseconds=ref.max_ref_age_ms) if ref.max_ref_age_ms else None)
        for name, ref in table.refs().items()
        if name != MAIN_BRANCH
    )
    return History(current.snapshot_id if current else None, snapshots, refs)


def _time(snapshot: object) -> datetime:
    return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)  # type: ignore[attr-defined]


def needed_by_consumers(tables: Mapping[str, IcebergTable]) -> dict[str, frozenset[int]]:
    """Return, for each table, the snapshots without which a consumer could not tell what has changed.

    A consumer is a table whose commits carry a watermark (:mod:`airflow_lakehouse.spark.silver.delta`). It needs its
    own commit that carries it, and the snapshot of each source which it names.

    :param tables: identifier to table, all of the warehouse.
    """
    identifiers = {identifier.partition(".")[2]: identifier for identifier in tables}
    found: dict[str, set[int]] = {identifier: set() for identifier in tables}
    for identifier, table in tables.items():
        marked = delta.last_mark(table)
        if marked is None:
            continue
        carrier, watermark = marked
        found[identifier].add(carrier)
        for source, id_ in watermark.snapshots().items():
            if source in identifiers:
                found[identifiers[source]].add(id_)
    return {identifier: frozenset(ids) for identifier, ids in found.items()}


def expirable(
    history: History, needed: frozenset[int], policy: MaintenancePolicy, now: datetime
) -> tuple[Snapshot, ...]:
    """Return the snapshots that nobody needs, oldest first.

    Kept are: the newest of the main branch, by number and by age; those a consumer needs, with all between them and
    the present, since a delta is told by walking from the one to the other; what a tag or a branch names, until its own
    retention is over (Iceberg drops it then, at the next expiry:
    https://iceberg.apache.org/docs/latest/branching/); and what only a branch has.

    :param history: of the table.
    :param needed: ids from :func:`needed_by_consumers`.
    :param policy: the thresholds.
    :param now: the time, UTC.
    """
    main = history.line(history.head)
    oldest_kept = now - timedelta(days=policy.snapshot_days)
    must_stay = [
        place
        for place, one in enumerate(main)
        if place < policy.keep_snapshots or one.at >= oldest_kept or one.id in needed
    ]
    kept = {one.id for one in main[: max(must_stay, default=-1) + 1]} | needed
    of_main = {one.id for one in main}
    for ref in history.refs:
        named = history.by_id.get(ref.snapshot)
        if named is None or (ref.max_age is not None and now - named.at > ref.max_age):
            continue
        kept.add(named.id)
        kept.update(one.id for one in history.line(named.id) if one.id not in of_main)
    gone = (one for one in history.snapshots if one.id not in kept and one.at < oldest_kept)
    return tuple(sorted(gone, key=lambda one: (one.at, one.id)))
