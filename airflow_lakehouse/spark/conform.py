"""Making a silver table say what bronze says, for the keys that may have changed.

The delta names resources; silver is recomputed for the keys they occupy, or occupied before, from all live rows.
What differs is merged into a branch in one commit, which carries the watermark; readers see it when it is published
(:mod:`airflow_lakehouse.spark.branches`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.profile import CATALOG_NAME
from airflow_lakehouse.spark import branches, delta, load
from airflow_lakehouse.spark.lineage import FIRST
from airflow_lakehouse.spark.session import stamp, unstamp
from airflow_lakehouse.spark.transforms import subjects, versions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from airflow_lakehouse.spark.work import Work
    from airflow_lakehouse.tables import Keep, Table

OPERATION: Final = "_operation"
RESOURCE: Final = ("source_system", "resource_id")
"""What identifies a resource in bronze."""


@dataclass
class Outcome:
    """What a run did to one silver table, and how its input was classified.

    :param change: the counts for the summary.
    :param classes: class to rows of input.
    :param expected: rows the table should hold now; None where only some keys were looked at.
    :param totals: class to rows of the table's source, over all runs.
    """

    change: load.Change
    classes: dict[str, int] = field(default_factory=dict)
    expected: int | None = None
    totals: dict[str, int] = field(default_factory=dict)


def affected(work: Work, source: Table, seen: delta.Watermark | None, now: delta.Watermark) -> DataFrame | None:
    """Return the resources whose rows may have changed, or None for all of them.

    :param work: the run.
    :param source: the bronze table.
    :param seen: watermark of the silver table.
    :param now: watermark this run will leave.
    """
    from pyspark.sql import functions as F

    if work.full or seen is None:
        return None
    if work.again is not None:
        rows = work.again.of_sender(work.again.of_days(work.read(source)))
        return rows.select(*RESOURCE).where(F.col("resource_id").isNotNull()).distinct()
    added = delta.added_rows(work.spark, work.catalog, source, seen.snapshot(source), now.snapshot(source))
    if added is None:
        return None
    named = work.hidden(added).select(*RESOURCE)
    if seen.dead != now.dead and work.dead:
        # A file was replaced, or an older version of it is back: what the one said, and the other does not, must go.
        named = named.unionByName(work.moved(source).select(*RESOURCE))
    return named.where(F.col("resource_id").isNotNull()).distinct()


def only(rows: DataFrame, ids: DataFrame | None, columns: Sequence[str] = RESOURCE) -> DataFrame:
    """Return the rows of some resources.

    :param rows: with ``columns``.
    :param ids: which; None for all.
    :param columns: what identifies them.
    """
    return rows if ids is None else rows.join(ids, list(columns), "left_semi")


def current(
    work: Work, rows: DataFrame, keep: Keep, name: str, about: subjects.Subject | None = None
) -> tuple[DataFrame, dict[str, int]]:
    """Return the winning version of each resource, and how all rows were classified.

    :param work: the run.
    :param rows: live bronze rows.
    :param keep: the keep-rule.
    :param name: unique within the run.
    :param about: whom the resources are about: one whose older versions are about somebody else is flagged.
    """
    lost = work.keep(versions.losers(rows, RESOURCE, keep), f"{name}_lost")
    counts = {row[versions.CLASS]: row["count"] for row in lost.groupBy(versions.CLASS).count().collect()}
    won = rows.count() - sum(counts.values())
    current_rows = versions.winners(rows, lost) if counts else rows
    if about is not None and versions.SUPERSEDED in counts:
        pairs = work.keep(subjects.changed(rows, lost, RESOURCE), f"{name}_changed")
        found = work.keep(subjects.reused(rows, pairs, RESOURCE, about), f"{name}_reused")
        current_rows = subjects.flagged(current_rows, found, RESOURCE)
    return current_rows, {**counts, **({versions.WINNER: won} if won else {})}


def operations(table: Table, wanted: DataFrame, present: DataFrame) -> DataFrame:
    """Return what must be inserted, updated or deleted for the table to hold the wanted rows; nothing else.

    :param table: the target.
    :param wanted: rows it should hold for the affected keys.
    :param present: rows it holds for them.
    """
    from pyspark.sql import functions as F

    def packed(rows: DataFrame, name: str) -> DataFrame:
        keys = [F.col(column).alias(f"{name}_{column}") for column in table.key]
        return rows.select(F.struct(*table.column_names).alias(name), *keys)

    new, old = packed(wanted, "new"), packed(present, "old")
    same_key = F.lit(True)
    for column in table.key:
        same_key = same_key & (F.col(f"new_{column}") == F.col(f"old_{column}"))
    both = new.join(old, same_key, "full_outer")
    operation = (
        F.when(F.col("old").isNull(), F.lit("insert"))
        .when(F.col("new").isNull(), F.lit("delete"))
        .when(~F.col("new").eqNullSafe(F.col("old")), F.lit("update"))
    )
    changed = both.withColumn(OPERATION, operation).where(F.col(OPERATION).isNotNull())
    return changed.select(OPERATION, F.coalesce("new", "old").alias("row")).select(OPERATION, "row.*")


def stage(work: Work, table: Table, wanted: DataFrame, present: DataFrame, now: delta.Watermark) -> load.Change:
    """Make a branch of a table hold the wanted rows in place of those it has, in one commit that carries the watermark.

    :param work: the run.
    :param table: the target.
    :param wanted: rows it should hold for some keys, or for all.
    :param present: rows it holds for these keys; not read where the table is empty.
    :param now: the watermark; where the table has it and nothing differs, nothing is staged.
    :raises ConflictError: when another run has taken the branch away.
    """
    from pyspark.sql import functions as F

    base = work.began[table.name]
    touched, doubled, counts = None, None, {}
    if base is not None and load.row_count(work.catalog, table, base):
        if work.full or work.again is not None:
            doubled = _doubled(work, table, present)
            present = present if doubled is None else present.join(doubled, list(table.key), "left_anti")
        touched = work.keep(operations(table, wanted, present), f"{table.name}_changes")
        counts = {row[OPERATION]: row["count"] for row in touched.groupBy(OPERATION).count().collect()}
    differs = doubled is not None or (bool(counts) if touched is not None else not wanted.isEmpty())
    if delta.is_stored(work.catalog, table, now) and not differs:
        return load.Change(load.row_count(work.catalog, table, base))
    start = branches.create(work.spark, work.catalog, table, work.branch, base)
    if doubled is not None:
        # No statement tells two rows of one key apart, to leave one of them: all go, and one is made anew.
        load.conform(work.spark, table, doubled.withColumn(OPERATION, F.lit("delete")), branch=work.branch)
    made = _commit(work, table, wanted, touched, now)
    if touched is None:
        counts = {"insert": load.added_since(work.catalog, table, start, made)}
    done = (counts.get(operation, 0) for operation in ("insert", "update", "delete"))
    change = load.Change(load.row_count(work.catalog, table, made), *done)
    work.staged[table.name] = branches.Staged(table, work.branch, base, made, touched, change)
    return change


def _commit(work: Work, table: Table, wanted: DataFrame, touched: DataFrame | None, now: delta.Watermark) -> int:
    """Write what differs to the branch, with the watermark; return the snapshot.

    Also with nothing to change: the empty commit carries the watermark, and spares the next run this work.
    """
    properties = now.properties()
    if work.began[table.name] is None:
        properties[FIRST] = "true"
    stamp(work.spark, properties)
    try:
        if touched is None:
            load.fill(table, wanted, work.branch)
        else:
            load.conform(work.spark, table, touched, _prune(table, touched), work.branch)
    finally:
        unstamp(work.spark, properties)
    return load.head(work.catalog, table, work.branch)


def _doubled(work: Work, table: Table, present: DataFrame) -> DataFrame | None:
    """Return one row of each key that is there more than once; None where no key is."""
    keys = present.groupBy(*table.key).count().where("count > 1").drop("count")
    rows = only(present, keys, table.key).dropDuplicates(list(table.key))
    kept = work.keep(rows, f"{table.name}_doubled")
    return None if kept.isEmpty() else kept


_MAX_LITERALS: Final = 64


def _prune(table: Table, changes: DataFrame) -> str:
    """Return the bucket literals of the changed keys: what is scanned, and what a concurrent commit conflicts with."""
    buckets = [partition for partition in table.partitions if partition.transform == "bucket"]
    if not buckets:
        return "true"
    partition = buckets[0]
    call = f"{CATALOG_NAME}.system.bucket({partition.width}, {{0}}`{partition.column}`)"
    found = changes.selectExpr(f"{call.format('')} AS bucket").distinct().limit(_MAX_LITERALS + 1).collect()
    if not found or len(found) > _MAX_LITERALS:
        return "true"
    return f"{call.format('t.')} IN ({', '.join(sorted(str(row['bucket']) for row in found))})"


Transform = Callable[["DataFrame"], "DataFrame"]
