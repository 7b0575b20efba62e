"""Rows that name a row another silver table does not hold: kept, flagged, and healed when it arrives.

Which columns name rows of which table is stated in the table (:attr:`Column.refers_to`). A fact is looked at again when
what it names may have come or gone, so its watermark covers the bronze tables of what it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.silver import conform
from airflow_lakehouse.tables import by_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from airflow_lakehouse.spark.silver.delta import Watermark
    from airflow_lakehouse.spark.silver.work import Work
    from airflow_lakehouse.tables import Table

ORPHAN_PATIENT: Final = "ORPHAN_PATIENT"
"""Flag: the patient the row is about is not in silver_dim_patient; taken away when it arrives."""
ORPHAN_ENCOUNTER: Final = "ORPHAN_ENCOUNTER"
"""Flag: the encounter of the row is not in silver_fct_encounter; taken away when it arrives."""
ORPHAN_PART_OF: Final = "ORPHAN_PART_OF"
"""Flag: the encounter that this one is part of is not in silver_fct_encounter; taken away when it arrives."""
ORPHAN_REPLACED_BY: Final = "ORPHAN_REPLACED_BY"
"""Flag: the patient that replaces this one is not in silver_dim_patient; taken away when it arrives."""
FLAGS: Final = {
    "patient_id": ORPHAN_PATIENT,
    "encounter_id": ORPHAN_ENCOUNTER,
    "part_of_id": ORPHAN_PART_OF,
    "replaced_by": ORPHAN_REPLACED_BY,
}
"""Column to the flag of a row whose column names nothing."""
_NAMED: Final = ["source_system", "named"]


@dataclass(frozen=True)
class Link:
    """A column that names rows of another table, or of its own.

    :param column: the column.
    :param target: the table whose rows it names, by the last column of its key.
    """

    column: str
    target: Table

    @property
    def flag(self) -> str:
        """What a row is flagged with when nothing has that name."""
        return FLAGS[self.column]

    def names(self, rows: DataFrame) -> DataFrame:
        """Return what rows name, once each.

        :param rows: rows of the table the column is in.
        """
        from pyspark.sql import functions as F

        named = rows.select("source_system", F.col(self.column).alias("named"))
        return named.where(F.col("named").isNotNull()).distinct()

    def held(self, rows: DataFrame) -> DataFrame:
        """Return what can be named.

        :param rows: rows of the target.
        """
        return rows.select("source_system", rows[self.target.key[-1]].alias("named"))


def links(table: Table) -> tuple[Link, ...]:
    """Return the links of a table.

    :param table: the table.
    """
    return tuple(Link(column.name, by_name(column.refers_to)) for column in table.columns if column.refers_to)


def flagged(work: Work, table: Table, rows: DataFrame, ids: DataFrame | None) -> DataFrame:
    """Flag the rows that name what no silver table holds.

    :param work: the run; the tables that are named are up to date, except for the one the rows belong to.
    :param table: the table the rows belong to.
    :param rows: rows it will hold; kept, since they are read several times.
    :param ids: resources the rows were made from, as in bronze; None when they are all the table will hold.
    """
    from pyspark.sql import functions as F

    absent = [
        link.names(rows)
        .join(_held(work, table, link, rows, ids), _NAMED, "left_anti")
        .select(F.lit(link.flag).alias("flag"), *_NAMED)
        for link in links(table)
    ]
    if not absent:
        return rows
    every = {link.flag: f"flag = '{link.flag}'" for link in links(table)}
    gone, flags = work.keep_counted(
        reduce(lambda left, right: left.unionByName(right), absent), f"{table.name}_orphans", every
    )
    for link in links(table):
        if link.flag in flags:
            of_link = gone.where(F.col("flag") == link.flag).withColumnRenamed("named", link.column)
            joined = rows.join(of_link, ["source_system", link.column], "left")
            own = F.when(F.col("flag").isNotNull(), F.array("flag")).otherwise(F.array().cast("array<string>"))
            rows = joined.withColumn("flags", F.array_union("flags", own)).select(*rows.columns)
    return rows


def _held(work: Work, table: Table, link: Link, rows: DataFrame, ids: DataFrame | None) -> DataFrame:
    """Return what the target will hold when the run is done."""
    if link.target is not table:
        return link.held(work.read(link.target))
    if ids is None:
        return link.held(rows)
    others = link.held(work.read(table)).join(ids.withColumnRenamed("resource_id", "named"), _NAMED, "left_anti")
    return others.unionByName(link.held(rows))


def moved(work: Work, table: Table, identity: str, seen: Watermark, now: Watermark) -> DataFrame | None:
    """Return the resources whose flags no longer tell the truth, because what they name came or went.

    :param work: the run; the tables that are named are up to date, except for the table itself.
    :param table: the table.
    :param identity: SQL expression of the resource a row was made from.
    :param seen: watermark of the table.
    :param now: watermark this run will leave.
    :return: :data:`airflow_lakehouse.spark.silver.conform.RESOURCE`; None for none.
    """
    from pyspark.sql import functions as F

    found = []
    for link in links(table):
        source = by_name(link.target.reads[0])
        is_same = seen.dead == now.dead and seen.snapshot(source) == now.snapshot(source)
        if is_same and work.again is None:
            continue
        told = F.array_contains("flags", link.flag).alias("orphan")
        facts = work.read(table).select(
            "source_system", F.expr(identity).alias("resource_id"), F.col(link.column).alias("named"), told
        )
        facts = facts.where(F.col("named").isNotNull())
        changed = conform.affected(work, source, seen, now)
        if changed is not None:
            facts = facts.join(changed.withColumnRenamed("resource_id", "named"), _NAMED, "left_semi")
        if link.target is not table:
            held = link.held(work.read(link.target)).withColumn("here", F.expr("true"))
            facts = facts.join(held, _NAMED, "left").where(F.col("orphan") == F.col("here").isNotNull())
        found.append(facts.select(*conform.RESOURCE))
    return reduce(lambda left, right: left.unionByName(right), found).distinct() if found else None
