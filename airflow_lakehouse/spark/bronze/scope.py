"""The part of a lakehouse that a run is about: days of the drop, and who sent it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_lakehouse.days import Days
from airflow_lakehouse.exceptions import InputError
from airflow_lakehouse.spark.storage.catalog import find_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from pyiceberg.catalog import Catalog
    from pyiceberg.expressions import BooleanExpression
    from pyspark.sql import DataFrame

    from airflow_lakehouse.tables import Table


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of a drop a run takes, and what it says of files whose path does not; or which rows of bronze.

    :param dt: given days, as :meth:`airflow_lakehouse.days.Days.parse` takes them: of a drop only files in partitions
        of these days, and files without one. A single day is also the day of files without one.
    :param source_system: given source system: of a drop, that of files whose path names none; of bronze, that of rows.
    :raises InputError: for a ``dt`` that names no days.
    """

    dt: str | None = None
    source_system: str | None = None

    def __post_init__(self) -> None:
        if self.dt is not None:
            Days.parse(self.dt)

    def __bool__(self) -> bool:
        """Tell whether it is less than everything."""
        return self.dt is not None or self.source_system is not None

    def __str__(self) -> str:
        parts = (("dt", self.dt), ("source_system", self.source_system))
        return " and ".join(f"{name}={value!r}" for name, value in parts if value is not None) or "everything"

    @property
    def days(self) -> Days | None:
        """The days; None for all, and for what has none."""
        return Days.parse(self.dt) if self.dt is not None else None

    def covers(self, day: date | None, source_system: str) -> bool:
        """Tell whether what was loaded with this day and source system belongs to it.

        :param day: its day, or None.
        :param source_system: its source system.
        """
        days = self.days
        return (days is None or day in days) and self.source_system in (None, source_system)

    def of_days(self, rows: DataFrame) -> DataFrame:
        """Return the rows of these days. Days are literals: no file of another partition is opened.

        :param rows: rows of a bronze table.
        """
        from pyspark.sql import functions as F

        days = self.days
        if days is not None and days.first:
            rows = rows.where(F.col("dt") >= F.lit(days.first))
        if days is not None and days.last:
            rows = rows.where(F.col("dt") <= F.lit(days.last))
        return rows

    def of_sender(self, rows: DataFrame) -> DataFrame:
        """Return the rows of this source system.

        :param rows: with ``source_system``.
        """
        from pyspark.sql import functions as F

        return rows if self.source_system is None else rows.where(F.col("source_system") == self.source_system)

    def expression(self) -> BooleanExpression:
        """Return the same rows of bronze as a filter of PyIceberg."""
        from pyiceberg.expressions import AlwaysTrue, And, EqualTo, GreaterThanOrEqual, LessThanOrEqual, Reference
        from pyiceberg.expressions.literals import literal

        found: BooleanExpression = AlwaysTrue()
        days = self.days
        if days is not None and days.first:
            found = And(found, GreaterThanOrEqual(term=Reference("dt"), value=literal(str(days.first))))
        if days is not None and days.last:
            found = And(found, LessThanOrEqual(term=Reference("dt"), value=literal(str(days.last))))
        if self.source_system is not None:
            found = And(found, EqualTo(term=Reference("source_system"), value=literal(self.source_system)))
        return found

    def check_holds(self, catalog: Catalog, tables: Iterable[Table]) -> None:
        """Refuse a part of bronze in which there is nothing: a day that was mistyped must not look like a day mended.

        :param catalog: the catalog.
        :param tables: bronze tables; a row in one of them will do.
        :raises InputError: when there is none.
        """
        for table in tables:
            found = find_table(catalog, table.identifier)
            if found and found.scan(self.expression(), ("source_system",), limit=1).to_arrow().num_rows:
                return
        raise InputError(
            f"bronze holds no row of {self}",
            legal="days and source systems of files that were loaded",
            remedy="look them up: lakehouse show ops.ingested_files --warehouse DIR",
        )
