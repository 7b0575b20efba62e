"""One run over silver: the session, what there is in bronze, and the tables as this run sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_lakehouse.spark.iceberg import load, pinned, schema
from airflow_lakehouse.spark.silver import delta
from airflow_lakehouse.spark.storage.catalog import find_table
from airflow_lakehouse.tables.bronze import FILE_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame, SparkSession

    from airflow_lakehouse.spark.bronze.scope import Scope
    from airflow_lakehouse.spark.iceberg.branches import Staged
    from airflow_lakehouse.spark.silver.privacy import Privacy
    from airflow_lakehouse.tables import Table


@dataclass(frozen=True)
class Work:
    """One run over silver.

    :param spark: the session.
    :param catalog: the same catalog through PyIceberg.
    :param area: URI of a folder of this run's own.
    :param dead: file versions that newer ones have replaced.
    :param returned: file versions that were replaced once and are, or were, back in their place.
    :param bronze: what there is in bronze; every table is read as of its snapshot in it, however long the run takes.
    :param full: recompute everything from bronze.
    :param privacy: how silver is de-identified; None where it is not.
    :param began: silver table name to its snapshot when its watermark was read; a commit on any other is a conflict.
    :param branch: branch on which silver is staged.
    :param staged: silver table name to what was staged of it, by this attempt or an earlier one; filled as it goes.
    :param again: recompute what this part of bronze names, whatever has changed; None for what has changed.
    """

    spark: SparkSession
    catalog: Catalog
    area: str
    dead: Sequence[tuple[str, str]] = ()
    returned: Sequence[tuple[str, str]] = ()
    bronze: delta.Watermark = field(default_factory=lambda: delta.Watermark({}, delta.digest(())))
    full: bool = False
    privacy: Privacy | None = None
    began: Mapping[str, int | None] = field(default_factory=dict)
    branch: str = ""
    staged: dict[str, Staged] = field(default_factory=dict)
    again: Scope | None = None

    def read(self, table: Table) -> DataFrame:
        """Return a table; one of silver as this run leaves it, once it is staged.

        :param table: which.
        """
        if table.name in self.staged:
            at = str(self.staged[table.name].snapshot)
            return self.spark.read.option("versionAsOf", at).table(schema.qualified(table))
        if table.name not in self.bronze.sources:
            return self._now(table)
        return self._at(table, self.bronze.snapshot(table))

    def live(self, table: Table, snapshot: int | None = None) -> DataFrame:
        """Return the rows of a bronze table that no newer version of their file has replaced.

        :param table: the bronze table.
        :param snapshot: an earlier snapshot of it; None for this run's.
        """
        rows = self.read(table) if snapshot is None else self._at(table, snapshot)
        return rows.join(self._versions(self.dead), list(FILE_KEY), "left_anti") if self.dead else rows

    def replaced(self, table: Table) -> DataFrame:
        """Return the other rows: those of file versions that newer ones have replaced.

        :param table: the bronze table.
        """
        return self.read(table).join(self._versions(self.dead), list(FILE_KEY), "left_semi")

    def moved(self, table: Table) -> DataFrame:
        """Return the rows of file versions that were replaced, or came back, at any time.

        :param table: the bronze table.
        """
        versions = sorted({*self.dead, *self.returned})
        return self.read(table).join(self._versions(versions), list(FILE_KEY), "left_semi")

    def _now(self, table: Table) -> DataFrame:
        return self.spark.table(schema.qualified(table))

    def _at(self, table: Table, snapshot: int | None) -> DataFrame:
        found = None if snapshot is None else find_table(self.catalog, table.identifier)
        if snapshot is None or found is None:
            return self.hidden(self._now(table).where("false"))
        # Those that are declared: a column somebody has added might be called as one that a transform makes.
        return self.hidden(pinned.rows(self.spark, found, snapshot).select(*table.column_names))

    def hidden(self, rows: DataFrame) -> DataFrame:
        """Return rows of bronze with the ids that silver has for them.

        :param rows: rows of a bronze table.
        """
        return self.privacy.hide_ids(rows) if self.privacy else rows

    def private(self, table: Table, rows: DataFrame, columns: Iterable[str]) -> DataFrame:
        """Return rows of silver with some columns as silver may hold them.

        :param table: the silver table.
        :param rows: its rows, or what they are made from.
        :param columns: columns that are final; others are left as they are.
        """
        return self.privacy.apply(table, rows, columns) if self.privacy else rows

    def _versions(self, which: Sequence[tuple[str, str]]) -> DataFrame:
        from pyspark.sql import functions as F

        return F.broadcast(self.spark.createDataFrame(list(which), ", ".join(f"{name} STRING" for name in FILE_KEY)))

    def keep(self, rows: DataFrame, name: str) -> DataFrame:
        """Store rows below this run's folder and return them from there, so that they are computed once.

        :param rows: what to keep.
        :param name: unique within the run.
        """
        return load.keep(self.spark, rows, f"{self.area}/{name}")

    def keep_counted(
        self, rows: DataFrame, name: str, conditions: Mapping[str, str]
    ) -> tuple[DataFrame, dict[str, int]]:
        """Store rows like :meth:`keep`, and count them on the way.

        :param rows: what to keep.
        :param name: unique within the run.
        :param conditions: see :func:`airflow_lakehouse.spark.iceberg.load.keep_counted`.
        """
        return load.keep_counted(self.spark, rows, f"{self.area}/{name}", conditions)
