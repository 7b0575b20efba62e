"""Setting tables back to what a run left, in metadata alone: main moves, and every snapshot stays.

Bronze goes back as one, with the ledger and the counts of unknown fields: the records of a file are in several of its
tables, and the ledger counts them together. A file whose rows are gone is written down as discovered, under the batch
and time of its first load, so that the next run loads it again as it was.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError, ConflictError, DownstreamAheadError
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.iceberg import conflicts, lineage
from airflow_lakehouse.spark.iceberg.as_of import find_run
from airflow_lakehouse.spark.silver import delta
from airflow_lakehouse.spark.storage.catalog import find_table, load_pyiceberg, named, table_identifiers
from airflow_lakehouse.spark.storage.local_warehouse import checkpoint
from airflow_lakehouse.tables import NAMESPACES, by_name, ops, silver

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.spark.iceberg.as_of import AtRun

_BRONZE, _SILVER, _GOLD, _OPS = NAMESPACES
_LEDGER: Final = ops.INGESTED_FILES.identifier
_EVIDENCE: Final = frozenset({ops.RECONCILIATION.identifier, ops.AUDITS.identifier})
"""What runs counted and found they have counted and found: these tables never go back."""
_ORDER: Final = (_GOLD, _SILVER, _OPS, _BRONZE)
"""What reads before what is read: a rollback that is killed leaves nothing ahead of what it reads."""


@dataclass(frozen=True, slots=True)
class Step:
    """One table that goes back.

    :param name: namespace and name.
    :param table: the table as it was looked at.
    :param present: the snapshot readers then saw.
    :param target: the snapshot it goes to; None for one that had no rows.
    """

    name: str
    table: IcebergTable
    present: Snapshot | None
    target: Snapshot | None

    @property
    def namespace(self) -> str:
        """The layer of the table."""
        return self.name.partition(".")[0]


def roll_back(profile: Profile, run_id: str, names: Iterable[str] = (), *, rebuild: bool = False) -> dict[str, Any]:
    """Set tables back to what a run left. Done a second time, it changes nothing.

    :param profile: the lakehouse.
    :param run_id: the run; an older one, or a newer one to undo a rollback.
    :param names: tables, with or without the namespace; none for all.
    :param rebuild: take along what would be ahead of them. What has no state to go back to is recomputed by the next
        run.
    :return: JSON values: ``run_id``, ``tables`` (name to ``snapshot_id`` and the one it ``was``), and ``files``: how
        many the next run will load again.
    :raises SnapshotNotFoundError: when the run is not known, or a table no longer has its tag.
    :raises DownstreamAheadError: when tables would be ahead of these, and may not be taken along.
    :raises ConflictError: when another run commits meanwhile.
    """
    catalog = load_pyiceberg(profile)
    steps, ledger_at = plan(catalog, run_id, names, rebuild=rebuild)
    files = 0
    try:
        if ledger_at is not None:
            Ledger(catalog).withhold(ledger_at)
        for step in steps:
            _move(step)
        if ledger_at is not None:
            files = Ledger(catalog).set_back(ledger_at)
    except Exception as error:
        if not conflicts.is_conflict(error):
            raise
        # Not tried again: what the other run has committed may be ahead of what was just set back.
        raise ConflictError(
            "another run committed to a table while it was set back",
            remedy="wait until no run is under way, and do it again; it goes on where it was",
        ) from error
    checkpoint(profile)
    moved = {step.name: {"snapshot_id": _id(step.target), "was": _id(step.present)} for step in steps}
    return {"run_id": run_id, "tables": moved, "files": files}


def plan(
    catalog: Catalog, run_id: str, names: Iterable[str] = (), *, rebuild: bool = False
) -> tuple[list[Step], AtRun | None]:
    """Return the tables that go back, in the order in which they do, and to where the ledger does; None if it stays.

    :param catalog: the catalog.
    :param run_id: see :func:`roll_back`.
    :param names: see there.
    :param rebuild: see there.
    :raises LakehouseError: as :func:`roll_back`.
    """
    moment = find_run(catalog, run_id)
    chosen = _chosen(catalog, names)
    looked_at = [_step(catalog, name, moment) for name in chosen | _related(catalog, chosen)]
    steps = {step.name: step for step in looked_at if _id(step.target) != _id(step.present) and step.name != _LEDGER}
    wanted = {name: step for name, step in steps.items() if name in chosen}
    ahead = _ahead(catalog, steps, wanted, moment)
    if ahead and not rebuild:
        raise DownstreamAheadError(
            f"{', '.join(sorted(ahead))} would hold what {', '.join(sorted(wanted))} no longer do",
            legal="--rebuild (rebuild=True), which sets these back too; or no --table, which sets back all",
        )
    moving = [*wanted.values(), *ahead.values()]
    _check_privacy(catalog, moving, moment)
    is_all = chosen >= {step.name for step in looked_at if step.namespace != _OPS}
    has_bronze = any(step.namespace == _BRONZE for step in moving)
    if has_bronze:
        moving += [step for step in steps.values() if step.namespace == _OPS]
    ordered = sorted(moving, key=lambda step: (_ORDER.index(step.namespace), step.name))
    return ordered, moment if has_bronze or is_all else None


def _step(catalog: Catalog, name: str, moment: AtRun) -> Step:
    table = catalog.load_table(name)
    return Step(name, table, table.current_snapshot(), moment.snapshot(table))


def _id(snapshot: Snapshot | None) -> int | None:
    return snapshot.snapshot_id if snapshot else None


def _chosen(catalog: Catalog, names: Iterable[str]) -> set[str]:
    chosen = {named(catalog, name) for name in names}
    strangers = sorted(name for name in chosen if name.startswith(f"{_OPS}."))
    if strangers:
        raise ConfigurationError(
            f"{', '.join(strangers)} cannot be set back alone",
            legal=f"tables of {_BRONZE}, {_SILVER} and {_GOLD}; {_OPS} goes along with {_BRONZE}",
        )
    return chosen or {name for name in table_identifiers(catalog) if not name.startswith(f"{_OPS}.")}


def _related(catalog: Catalog, chosen: Collection[str]) -> set[str]:
    """Return the tables that may have to go along; others need not even have a tag of the run."""
    layers = {name.partition(".")[0] for name in chosen}
    reached = NAMESPACES if _BRONZE in layers else (_GOLD,) if _SILVER in layers else ()
    return {name for name in table_identifiers(catalog) if name.partition(".")[0] in reached and name not in _EVIDENCE}


def _ahead(catalog: Catalog, steps: dict[str, Step], wanted: dict[str, Step], moment: AtRun) -> dict[str, Step]:
    """Return the tables that would hold what those wanted no longer do."""
    ahead: dict[str, Step] = {}
    if any(step.namespace == _BRONZE for step in wanted.values()):
        ahead |= {name: step for name, step in steps.items() if step.namespace == _BRONZE}
        dead = delta.digest(Ledger(catalog).dead_versions(moment))
        for table in silver.TABLES:
            seen = delta.stored(catalog, table) if table.identifier in steps else None
            if seen and (seen.dead != dead or _has_seen_more(seen, {**wanted, **ahead})):
                ahead[table.identifier] = steps[table.identifier]
    if wanted or ahead:
        # What gold was built from is known as a hash alone: whatever was built since goes along.
        ahead |= {name: step for name, step in steps.items() if step.namespace == _GOLD}
    return {name: step for name, step in ahead.items() if name not in wanted}


def _check_privacy(catalog: Catalog, moving: Iterable[Step], moment: AtRun) -> None:
    """Refuse to show readers of silver and gold what de-identification has since kept from them."""
    is_shown = any(step.namespace in (_SILVER, _GOLD) for step in moving)
    for table in silver.TABLES if is_shown else ():
        found = find_table(catalog, table.identifier)
        if found is not None and delta.shows_persons_again(found, moment):
            raise ConfigurationError(
                f"{table.identifier} was de-identified in another way at run {moment.point.name!r}, or not at all",
                legal="a run since",
            )


def _has_seen_more(seen: delta.Watermark, sources: dict[str, Step]) -> bool:
    """Tell whether a watermark names a snapshot of bronze that would be no ancestor any more."""
    for step in sources.values():
        name = step.name.partition(".")[2]
        snapshot = seen.snapshot(by_name(name)) if name in seen.sources else None
        if snapshot is not None and lineage.has_left(step.table, snapshot, step.target):
            return True
    return False


def _move(step: Step) -> None:
    """Move the main branch of a table, if it still is where it was looked at."""
    from pyiceberg.table.refs import MAIN_BRANCH
    from pyiceberg.table.update.snapshot import ManageSnapshots

    with step.table.transaction() as transaction:
        if step.target is None:
            emptied = lineage.emptied_with(step.table, int(time.time() * 1000))
            transaction.set_properties({lineage.EMPTIED: emptied})
        with ManageSnapshots(transaction) as change:
            if step.target is None:
                change.remove_branch(MAIN_BRANCH)
            else:
                change.set_current_snapshot(step.target.snapshot_id)
