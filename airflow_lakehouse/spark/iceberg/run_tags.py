"""Tags that keep what each run left, so that it can be read and gone back to.

A run that changed something tags the snapshot every table has when one of its jobs ends, also of the tables it did not
touch: all tables can then be read as they stood together. A tag is metadata alone. While it is there, no expiry takes
its snapshot away. Follows https://iceberg.apache.org/spec/#snapshot-references.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from airflow_lakehouse.spark.engine.session import STAMP
from airflow_lakehouse.spark.iceberg import conflicts, lineage
from airflow_lakehouse.spark.storage.catalog import find_table, table_identifiers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable

RETENTION: Final = timedelta(days=30)
"""How long the tag of a run keeps its snapshots, unless it is told to keep them for good."""
RUN: Final = "run"
TAG: Final = "tag"
BRANCH: Final = "branch"
_PREFIX: Final = f"{RUN}_"
RUN_ID: Final = f"{STAMP}run-id"
"""Snapshot property: the run that committed it."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Point:
    """A state of the lakehouse that can be asked for.

    :param name: what to ask for: the id of a run, or the name of a branch, or of a tag somebody else made.
    :param kind: :data:`RUN`, :data:`TAG` or :data:`BRANCH`.
    :param tag: name of the Iceberg tag or branch.
    :param time: when the newest of its snapshots was committed.
    :param tables: tables that carry the tag.
    :param expires: when the next expiry may take it; None where it is kept.
    :param rolled_back: whether a table was set back behind it, as far as its history tells.
    """

    name: str
    kind: str
    tag: str
    time: datetime
    tables: tuple[str, ...]
    expires: datetime | None
    rolled_back: bool


def tag_of(run_id: str) -> str:
    """Return the name of a run's tag; no two runs share one.

    Airflow's run ids hold colons and plus signs, which not every engine takes in the name of a tag.

    :param run_id: the run.
    """
    return f"{_PREFIX}{quote(run_id, safe='')}"


def tag_run(catalog: Catalog, run_id: str, moved: Collection[str] | None = None) -> None:
    """Tag what the tables hold now as what a run left.

    A later job of the same run takes the tags along. A table without a snapshot gets none.

    :param catalog: the catalog.
    :param run_id: the run.
    :param moved: tables, as namespace and name, on which a tag of this run moves to the present snapshot; on others
        one that is there stays. None for all.
    """
    tag = tag_of(run_id)

    def put(table: IcebergTable) -> None:
        snapshot, held = table.current_snapshot(), table.refs().get(tag)
        is_settled = held is not None and moved is not None and ".".join(table.name()) not in moved
        if snapshot is None or is_settled or (held is not None and held.snapshot_id == snapshot.snapshot_id):
            return
        is_kept = held is not None and held.max_ref_age_ms is None
        with table.manage_snapshots() as change:
            change.create_tag(snapshot.snapshot_id, tag, None if is_kept else _age(snapshot.timestamp_ms))

    for identifier in table_identifiers(catalog):
        _commit(catalog, identifier, put)


def has_committed(catalog: Catalog, run_id: str) -> bool:
    """Tell whether a table's present snapshot was committed by a run, by the stamp in its summary.

    :param catalog: the catalog.
    :param run_id: the run.
    """
    for identifier in table_identifiers(catalog):
        table = find_table(catalog, identifier)
        snapshot = table.current_snapshot() if table else None
        if snapshot and snapshot.summary and snapshot.summary.additional_properties.get(RUN_ID) == run_id:
            return True
    return False


def keep(catalog: Catalog, point: Point) -> None:
    """Keep the snapshots of a run for good.

    :param catalog: the catalog.
    :param point: the run.
    """
    _retain(catalog, point, lambda _: None)


def let_go(catalog: Catalog, point: Point) -> None:
    """Let the snapshots of a run expire, :data:`RETENTION` from now.

    :param catalog: the catalog.
    :param point: the run.
    """
    _retain(catalog, point, _age)


def forget(catalog: Catalog, point: Point) -> None:
    """Take a run's tags away: its snapshots go with the next expiry, if nothing else needs them.

    :param catalog: the catalog.
    :param point: the run.
    """

    def remove(table: IcebergTable) -> None:
        if point.tag in table.refs():
            with table.manage_snapshots() as change:
                change.remove_tag(point.tag)

    for identifier in point.tables:
        _commit(catalog, identifier, remove)


def _retain(catalog: Catalog, point: Point, age: Callable[[int], int | None]) -> None:
    def put(table: IcebergTable) -> None:
        held = table.refs().get(point.tag)
        snapshot = table.snapshot_by_id(held.snapshot_id) if held else None
        if snapshot is not None:
            with table.manage_snapshots() as change:
                change.create_tag(snapshot.snapshot_id, point.tag, age(snapshot.timestamp_ms))

    for identifier in point.tables:
        _commit(catalog, identifier, put)


def points(catalog: Catalog) -> list[Point]:
    """Return every run, tag and branch that can be asked for, newest first; main is what is read without asking.

    :param catalog: the catalog.
    """
    tagged: dict[str, list[_Tagged]] = {}
    for identifier in table_identifiers(catalog):
        table = find_table(catalog, identifier)
        for tag, one in _refs(identifier, table) if table else ():
            tagged.setdefault(tag, []).append(one)
    return sorted((_point(tag, found) for tag, found in tagged.items()), key=lambda one: one.time, reverse=True)


def newest(known: list[Point], kind: str) -> str:
    """Return the names of the newest runs or tags, for a message.

    :param known: from :func:`points`.
    :param kind: :data:`RUN` or :data:`TAG`.
    """
    names = [one.name for one in known if one.kind == kind]
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "") or "none yet"


@dataclass(frozen=True, slots=True)
class _Tagged:
    table: str
    is_branch: bool
    time: datetime
    expires: datetime | None
    is_left: bool


def _refs(identifier: str, table: IcebergTable) -> Iterator[tuple[str, _Tagged]]:
    from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType

    for name, ref in table.refs().items():
        snapshot = table.snapshot_by_id(ref.snapshot_id)
        if name == MAIN_BRANCH or snapshot is None:
            continue
        is_branch = ref.snapshot_ref_type is SnapshotRefType.BRANCH
        at = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
        expires = at + ref.max_ref_age_ms * _MILLISECOND if ref.max_ref_age_ms else None
        # What a branch says was never on main, and has not left it.
        has_left = not is_branch and lineage.has_left(table, ref.snapshot_id, table.current_snapshot())
        yield name, _Tagged(identifier, is_branch, at, expires, has_left)


def _point(tag: str, found: list[_Tagged]) -> Point:
    is_branch = any(one.is_branch for one in found)
    is_run = tag.startswith(_PREFIX) and not is_branch
    ends = [one.expires for one in found if one.expires is not None]
    return Point(
        name=unquote(tag.removeprefix(_PREFIX)) if is_run else tag,
        kind=RUN if is_run else BRANCH if is_branch else TAG,
        tag=tag,
        time=max(one.time for one in found),
        tables=tuple(one.table for one in found),
        expires=min(ends) if ends else None,
        rolled_back=any(one.is_left for one in found),
    )


def age_from(snapshot_ms: int, retention: timedelta) -> int:
    """Return the age, in milliseconds, at which a reference made now may go.

    Iceberg reckons it from the snapshot, which may be years old.

    :param snapshot_ms: when the snapshot was committed, in milliseconds since 1970.
    :param retention: how long the reference is to stay.
    """
    return max(1, int(time.time() * 1000) - snapshot_ms + retention // _MILLISECOND)


def _age(snapshot_ms: int) -> int:
    return age_from(snapshot_ms, RETENTION)


def _commit(catalog: Catalog, identifier: str, change: Callable[[IcebergTable], None]) -> None:
    """Change the references of a table; where another commit came first, of the table as it then is."""

    def once() -> None:
        table = find_table(catalog, identifier)
        if table is not None:
            change(table)

    conflicts.retried(once, identifier)
