"""Silver tables with one row a resource: patients, encounters, conditions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.silver import conform, delta, orphans, totals
from airflow_lakehouse.spark.transforms import subjects, versions
from airflow_lakehouse.spark.transforms.condition import conditions
from airflow_lakehouse.spark.transforms.encounter import encounters
from airflow_lakehouse.spark.transforms.patient import patients
from airflow_lakehouse.tables import bronze, silver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from airflow_lakehouse.spark.silver.conform import Outcome, Transform
    from airflow_lakehouse.spark.silver.work import Work
    from airflow_lakehouse.tables import Table


@dataclass(frozen=True)
class ResourceTable:
    """One silver table and how it is made.

    :param target: the silver table; its key is the source system and the resource's id.
    :param source: the bronze table.
    :param transform: reads the resources.
    :param about: whom they are about.
    """

    target: Table
    source: Table
    transform: Transform
    about: subjects.Subject = subjects.REFERRED


RESOURCE_TABLES: Final = (
    ResourceTable(silver.PATIENT, bronze.PATIENT, patients, subjects.PATIENT),
    ResourceTable(silver.ENCOUNTER, bronze.ENCOUNTER, encounters),
    ResourceTable(silver.CONDITION, bronze.CONDITION, conditions),
)


def refresh(work: Work, made: ResourceTable, seen: delta.Watermark | None, now: delta.Watermark) -> Outcome:
    """Bring one table up to date.

    :param work: the run.
    :param made: the table.
    :param seen: its watermark.
    :param now: the watermark this run leaves.
    """
    target = made.target
    ids, is_any = _affected(work, made, seen, now)
    if not is_any:
        total = totals.count(work, made.source, ids, {}, seen)
        return conform.Outcome(conform.stage_mark(work, target, replace(now, totals=total)), totals=total)
    rows, counts = conform.current(
        work, conform.only(work.live(made.source), ids), target.keep or silver.KEEP_NEWEST, target.name, made.about
    )
    made_rows = work.private(target, made.transform(rows).select(*target.column_names), target.column_names)
    wanted, won = work.keep_counted(made_rows, f"{target.name}_wanted", {versions.WINNER: "true"})
    counts.update(won)
    wanted = orphans.flagged(work, target, wanted, ids)
    known = ids.withColumnRenamed("resource_id", target.key[-1]) if ids is not None else None
    present = conform.only(work.read(target), known, target.key)
    expected = counts.get(versions.WINNER, 0) if ids is None else None
    total = totals.count(work, made.source, ids, counts, seen)
    change = conform.stage(work, target, wanted, present, replace(now, totals=total))
    return conform.Outcome(change, counts, expected, total)


def _affected(
    work: Work, made: ResourceTable, seen: delta.Watermark | None, now: delta.Watermark
) -> tuple[DataFrame | None, bool]:
    """Return the resources that changed and those whose flags must change, None for all; and whether there are any."""
    ids = conform.affected(work, made.source, seen, now)
    if ids is None or seen is None:
        return None, True
    moved = orphans.moved(work, made.target, made.target.key[-1], seen, now)
    ids = ids if moved is None else ids.unionByName(moved).distinct()
    kept, found = work.keep_counted(ids, f"{made.target.name}_named", {"ids": "true"})
    return kept, bool(found)
