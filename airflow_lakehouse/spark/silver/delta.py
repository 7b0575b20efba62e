"""What changed in bronze since a silver table last looked.

A silver table's watermark is in the summary of its own last commit: the bronze snapshots it has seen, and which file
versions were dead then. It cannot be lost without the data it describes, nor run ahead of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.engine.session import STAMP
from airflow_lakehouse.spark.iceberg import schema
from airflow_lakehouse.spark.iceberg.as_of import Now
from airflow_lakehouse.spark.storage.catalog import find_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable
    from pyspark.sql import DataFrame, SparkSession

    from airflow_lakehouse.spark.iceberg.as_of import AsOf
    from airflow_lakehouse.tables import Table

_SOURCE: Final = "src."
_TOTAL: Final = "total."
_DEAD: Final = "dead-files"
_PRIVACY: Final = "deidentified"
_NONE: Final = "none"


@dataclass(frozen=True)
class Watermark:
    """What a silver table has seen.

    :param sources: bronze table name to the id of its snapshot, or ``none``.
    :param dead: digest of the file versions that were dead.
    :param privacy: what stands for how it was de-identified (:mod:`airflow_lakehouse.spark.silver.privacy`);
        empty if not.
    :param totals: class to rows of the table's own source, over all runs
        (:mod:`airflow_lakehouse.spark.silver.totals`).
    """

    sources: dict[str, str]
    dead: str
    privacy: str = ""
    totals: dict[str, int] = field(default_factory=dict, compare=False)

    def properties(self) -> dict[str, str]:
        """Return the watermark as snapshot properties, without the common prefix."""
        sources = {f"{_SOURCE}{name}": id_ for name, id_ in self.sources.items()}
        totals = {f"{_TOTAL}{name}": str(rows) for name, rows in self.totals.items()}
        return {**sources, **totals, _DEAD: self.dead, **({_PRIVACY: self.privacy} if self.privacy else {})}

    def of(self, tables: Sequence[Table]) -> Watermark:
        """Return the part of the watermark that is about some tables.

        :param tables: bronze tables.
        """
        return Watermark({table.name: self.sources[table.name] for table in tables}, self.dead, self.privacy)

    def snapshot(self, table: Table) -> int | None:
        """Return the snapshot of a bronze table that was seen, or None.

        :param table: the bronze table.
        """
        return self.snapshots().get(table.name)

    def snapshots(self) -> dict[str, int]:
        """Return the snapshots that were seen, by table name; tables that had none are left out."""
        return {name: int(id_) for name, id_ in self.sources.items() if id_ != _NONE}


def present(
    catalog: Catalog,
    sources: Sequence[Table],
    dead: Sequence[tuple[str, str]],
    privacy: str = "",
    moment: AsOf | None = None,
) -> Watermark:
    """Return the watermark a run that begins now will leave.

    :param catalog: the catalog.
    :param sources: bronze tables read.
    :param dead: dead file versions.
    :param privacy: how silver is de-identified; empty if it is not.
    :param moment: when bronze is read as of; None for now.
    """
    ids = {}
    for table in sources:
        found = find_table(catalog, table.identifier)
        snapshot = (moment or Now()).snapshot(found) if found else None
        ids[table.name] = str(snapshot.snapshot_id) if snapshot else _NONE
    return Watermark(ids, digest(dead), privacy)


def digest(dead: Sequence[tuple[str, str]]) -> str:
    """Return what stands for a set of dead file versions.

    :param dead: the file versions.
    """
    return sha256(repr(sorted(dead)).encode()).hexdigest()[:16]


def stored(catalog: Catalog, target: Table, moment: AsOf | None = None) -> Watermark | None:
    """Return the watermark of a silver table, or None where it has none.

    :param catalog: the catalog.
    :param target: the silver table.
    :param moment: when; None for now.
    """
    found = find_table(catalog, target.identifier)
    marked = last_mark(found, moment) if found else None
    return marked[1] if marked else None


def is_stored(catalog: Catalog, target: Table, mark: Watermark) -> bool:
    """Tell whether a table carries a watermark already, its totals included.

    :param catalog: the catalog.
    :param target: the table.
    :param mark: the watermark. While there is nothing in any source, none need be carried.
    """
    held = stored(catalog, target)
    if held is None:
        return all(id_ == _NONE for id_ in mark.sources.values())
    return held == mark and _counted(held) == _counted(mark)


def _counted(mark: Watermark) -> dict[str, int]:
    return {name: rows for name, rows in mark.totals.items() if rows}


def last_mark(table: IcebergTable, moment: AsOf | None = None) -> tuple[int, Watermark] | None:
    """Return the newest watermark in a table's history and the id of the snapshot that carries it; None for none.

    Commits that carry none are passed over: compaction and repairs by hand do not move it.

    :param table: the table.
    :param moment: when; None for now.
    """
    snapshot = (moment or Now()).snapshot(table)
    while snapshot is not None:
        summary = dict(snapshot.summary.additional_properties) if snapshot.summary else {}
        own = {name.removeprefix(STAMP): value for name, value in summary.items() if name.startswith(STAMP)}
        if _DEAD in own:
            sources = {name.removeprefix(_SOURCE): id_ for name, id_ in own.items() if name.startswith(_SOURCE)}
            totals = {name.removeprefix(_TOTAL): int(rows) for name, rows in own.items() if name.startswith(_TOTAL)}
            return snapshot.snapshot_id, Watermark(sources, own[_DEAD], own.get(_PRIVACY, ""), totals)
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return None


def shows_persons_again(table: IcebergTable, moment: AsOf) -> bool:
    """Tell whether a table was de-identified since a moment, or then in another way: its readers would see persons.

    :param table: a silver table; any other holds no mark of it.
    :param moment: when.
    """
    if moment.snapshot(table) is None:
        return False
    then, now = last_mark(table, moment), last_mark(table)
    # A tag keeps one snapshot. Where that is a compaction's, the commit that told how may have expired.
    is_same = then is not None and now is not None and then[1].privacy == now[1].privacy
    return now is not None and bool(now[1].privacy) and not is_same


def added_rows(
    spark: SparkSession, catalog: Catalog, table: Table, since: int | None, until: int | None
) -> DataFrame | None:
    """Return the rows that were added to a bronze table after a snapshot.

    :param spark: the session.
    :param catalog: the catalog.
    :param table: the bronze table.
    :param since: snapshot that was seen; None for the beginning.
    :param until: the last snapshot that counts.
    :return: None where the delta cannot be told and everything must be read: the snapshot was expired, or the table
        was rolled back behind it. Iceberg would fail on the one and ignore the other.
    """
    found = find_table(catalog, table.identifier)
    if since is None or until is None or found is None or not _only_grew(found, since, until):
        return None
    if since == until:
        # Iceberg fails on a range without a commit in it; another table of the drop has changed, this one has not.
        return spark.table(schema.qualified(table)).where("false")
    reader = spark.read.format("iceberg").option("start-snapshot-id", str(since))
    return reader.option("end-snapshot-id", str(until)).load(schema.qualified(table))


def _only_grew(table: IcebergTable, since: int, until: int) -> bool:
    snapshot = table.snapshot_by_id(until)
    while snapshot is not None:
        if snapshot.snapshot_id == since:
            return True
        operation = snapshot.summary.operation.value if snapshot.summary else "append"
        if operation not in ("append", "replace"):
            return False
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return False
