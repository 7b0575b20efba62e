"""Reading tables as they were, or as they stand on a branch: what a run, tag, branch or time is in each of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from airflow_lakehouse.exceptions import SnapshotNotFoundError
from airflow_lakehouse.spark.iceberg import lineage, run_tags
from airflow_lakehouse.spark.iceberg.run_tags import RUN, TAG, Point

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REMEDY: Final = "list what can be asked for with 'lakehouse runs --warehouse DIR'"


class AsOf(Protocol):
    """A moment at which tables are read."""

    def covers(self, table: IcebergTable) -> bool:
        """Tell whether it says anything of a table.

        :param table: the table.
        """

    def snapshot(self, table: IcebergTable) -> Snapshot | None:
        """Return the snapshot of a table that is read; None where it had no rows yet.

        :param table: the table.
        :raises SnapshotNotFoundError: when it cannot be told, or has expired.
        """


@dataclass(frozen=True, slots=True)
class Now:
    """As readers see it."""

    def covers(self, table: IcebergTable) -> bool:
        """Every table."""
        del table
        return True

    def snapshot(self, table: IcebergTable) -> Snapshot | None:
        """Return the current snapshot."""
        return table.current_snapshot()


@dataclass(frozen=True, slots=True)
class AtRun:
    """As a run left it.

    :param point: the run.
    """

    point: Point

    def covers(self, table: IcebergTable) -> bool:
        """Every table: a run tags them all."""
        del table
        return True

    def snapshot(self, table: IcebergTable) -> Snapshot | None:
        """Return the tagged snapshot; a table without the tag had no rows then."""
        held = table.refs().get(self.point.tag)
        if held is not None:
            return table.snapshot_by_id(held.snapshot_id)
        if lineage.at_time(table, _milliseconds(self.point.time)) is not None:
            raise SnapshotNotFoundError(
                f"{'.'.join(table.name())} no longer has its tag of run {self.point.name!r}",
                remedy="ask for a later run, and keep those you need: 'lakehouse runs --keep RUN --warehouse DIR'",
            )
        return None


@dataclass(frozen=True, slots=True)
class AtTag:
    """As a branch says, or a tag that somebody else made.

    :param point: the tag or branch.
    """

    point: Point

    def covers(self, table: IcebergTable) -> bool:
        """Tables that have it."""
        return ".".join(table.name()) in self.point.tables

    def snapshot(self, table: IcebergTable) -> Snapshot | None:
        """Return the tagged snapshot, or the newest of the branch."""
        held = table.refs().get(self.point.tag)
        if held is None:
            raise SnapshotNotFoundError(
                f"{'.'.join(table.name())} has no {self.point.kind} {self.point.tag!r}",
                legal=f"tables that have it: {', '.join(self.point.tables)}",
            )
        return table.snapshot_by_id(held.snapshot_id)


@dataclass(frozen=True, slots=True)
class AtTime:
    """As it was at a time.

    :param time: the time.
    """

    time: datetime

    def covers(self, table: IcebergTable) -> bool:
        """Every table."""
        del table
        return True

    def snapshot(self, table: IcebergTable) -> Snapshot | None:
        """Return the snapshot readers saw then, rollbacks since left out."""
        return lineage.at_time(table, _milliseconds(self.time))


def resolve(catalog: Catalog, text: str | None) -> AsOf:
    """Return what a run id, the name of a tag or branch, or a time stands for, looked for in this order.

    :param catalog: the catalog.
    :param text: as typed; a time is ISO 8601, in UTC where it names no offset. None for now.
    :raises SnapshotNotFoundError: when it is none of these; the message names the newest runs and tags.
    """
    if text is None:
        return Now()
    known = run_tags.points(catalog)
    run, tagged = _run(known, text), next((point for point in known if point.tag == text), None)
    if run or tagged is None:
        return AtRun(run) if run else AtTime(_time(text, known))
    return AtRun(tagged) if tagged.kind == RUN else AtTag(tagged)


def find_run(catalog: Catalog, run_id: str) -> AtRun:
    """Return what a run left.

    :param catalog: the catalog.
    :param run_id: the run.
    :raises SnapshotNotFoundError: when no table has a tag of it; the message names the newest runs.
    """
    known = run_tags.points(catalog)
    run = _run(known, run_id)
    if run is None:
        raise SnapshotNotFoundError(
            f"no table has a tag of run {run_id!r}: it changed nothing, failed, or has expired",
            legal=f"runs {run_tags.newest(known, RUN)}",
            remedy=_REMEDY,
        )
    return AtRun(run)


def _run(known: list[Point], run_id: str) -> Point | None:
    return next((point for point in known if point.kind == RUN and point.name == run_id), None)


def _time(text: str, known: list[Point]) -> datetime:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise SnapshotNotFoundError(
            f"{text!r} is no run, tag, branch or time: a run that changed nothing has no tag",
            legal=f"runs {run_tags.newest(known, RUN)}; tags {run_tags.newest(known, TAG)};"
            f" or a time such as {datetime.now(UTC).isoformat(timespec='seconds')}",
            remedy=_REMEDY,
        ) from None
    time = given if given.tzinfo else given.replace(tzinfo=UTC)
    if time > datetime.now(UTC):
        # What it reads today it would not read tomorrow.
        raise SnapshotNotFoundError(f"{text!r} lies in the future", legal="a time that has passed; UTC without offset")
    return time


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)
