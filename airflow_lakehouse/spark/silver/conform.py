"""Making a silver table say what bronze says, for the keys that may have changed.

The delta names resources; silver is recomputed for the keys they occupy, or occupied before, from all live rows.
What differs is merged into a branch in one commit, which carries the watermark; readers see it when it is published
(:mod:`airflow_lakehouse.spark.iceberg.branches`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.profile import CATALOG_NAME
from airflow_lakehouse.spark.engine.session import stamp, unstamp
from airflow_lakehouse.spark.iceberg import branches, load
from airflow_lakehouse.spark.iceberg.lineage import FIRST
from airflow_lakehouse.spark.silver import delta
from airflow_lakehouse.spark.transforms import subjects, versions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from airflow_lakehouse.spark.silver.work import Work
    from airflow_lakehouse.tables import Keep, Table

OPERATION: Final = "_operation"
OPERATIONS: Final = ("insert", "update", "delete")
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
    """Return the winning version of each resource, and class to rows of those that did not win.

    :param work: the run.
    :param rows: live bronze rows.
    :param keep: the keep-rule.
    :param name: unique within the run.
    :param about: whom the resources are about: one whose older versions are about somebody else is flagged.
    """
    classes = (versions.SUPERSEDED, versions.EXCLUDED)
    every = {class_: f"{versions.CLASS} = '{class_}'" for class_ in classes}
    lost, counts = work.keep_counted(versions.losers(rows, RESOURCE, keep), f"{name}_lost", every)
    current_rows = versions.winners(rows, lost) if counts else rows
    if about is not None and versions.SUPERSEDED in counts:
        pairs, found = work.keep_counted(subjects.changed(rows, lost, RESOURCE), f"{name}_changed", {"pairs": "true"})
        # A drop that repeats what is known has superseded rows and nothing to compare.
        if found:
            reused = work.keep(subjects.reused(rows, pairs, RESOURCE, about), f"{name}_reused")
            current_rows = subjects.flagged(current_rows, reused, RESOURCE)
    return current_rows, counts


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
    touched, doubled, counts = None, None, dict[str, int]()
    if base is not None and load.row_count(work.catalog, table, base):
        if work.full or work.again is not None:
            doubled = _doubled(work, table, present)
            present = present if doubled is None else present.join(doubled, list(table.key), "left_anti")
        each = {operation: f"{OPERATION} = '{operation}'" for operation in OPERATIONS} | _buckets(table)
        touched, counts = work.keep_counted(operations(table, wanted, present), f"{table.name}_changes", each)
    is_told = bool(counts) or doubled is not None or not delta.is_stored(work.catalog, table, now)
    # Asked last: to tell whether there is a row takes a query.
    if not is_told and (touched is not None or wanted.isEmpty()):
        return load.Change(load.row_count(work.catalog, table, base))
    start = branches.create(work.spark, work.catalog, table, work.branch, base)
    if doubled is not None:
        # No statement tells two rows of one key apart, to leave one of them: all go, and one is made anew.
        load.conform(work.spark, table, doubled.withColumn(OPERATION, F.lit("delete")), branch=work.branch)
    with _stamped(work, table, now):
        if touched is None:
            load.fill(table, wanted, work.branch)
        elif counts:
            load.conform(work.spark, table, touched, _prune(table, counts), work.branch)
        else:
            _fill_nothing(work, table)
    made = load.head(work.catalog, table, work.branch)
    if touched is None:
        counts = {"insert": load.added_since(work.catalog, table, start, made)}
    done = (counts.get(operation, 0) for operation in OPERATIONS)
    change = load.Change(load.row_count(work.catalog, table, made), *done)
    work.staged[table.name] = branches.Staged(table, work.branch, base, made, touched, change)
    return change


def stage_mark(work: Work, table: Table, now: delta.Watermark) -> load.Change:
    """Make a branch of a table carry the watermark and change nothing else; where the table has it, do nothing.

    :param work: the run.
    :param table: the target.
    :param now: the watermark.
    :raises ConflictError: when another run has taken the branch away.
    """
    base = work.began[table.name]
    change = load.Change(load.row_count(work.catalog, table, base))
    if delta.is_stored(work.catalog, table, now):
        return change
    branches.create(work.spark, work.catalog, table, work.branch, base)
    with _stamped(work, table, now):
        _fill_nothing(work, table)
    made = load.head(work.catalog, table, work.branch)
    work.staged[table.name] = branches.Staged(table, work.branch, base, made, None, change)
    return change


@contextmanager
def _stamped(work: Work, table: Table, now: delta.Watermark) -> Iterator[None]:
    """Write the watermark into what is committed meanwhile."""
    properties = now.properties()
    if work.began[table.name] is None:
        properties[FIRST] = "true"
    stamp(work.spark, properties)
    try:
        yield
    finally:
        unstamp(work.spark, properties)


def _fill_nothing(work: Work, table: Table) -> None:
    """Commit nothing to the branch: the empty commit carries the watermark, and spares the next run this work."""
    load.fill(table, work.read(table).where("false"), work.branch)


def _doubled(work: Work, table: Table, present: DataFrame) -> DataFrame | None:
    """Return one row of each key that is there more than once; None where no key is."""
    keys = present.groupBy(*table.key).count().where("count > 1").drop("count")
    rows = only(present, keys, table.key).dropDuplicates(list(table.key))
    kept = work.keep(rows, f"{table.name}_doubled")
    return None if kept.isEmpty() else kept


_MAX_LITERALS: Final = 64


def _buckets(table: Table) -> dict[str, str]:
    """Return the literal of each bucket of a table, to the condition that a row belongs to it."""
    call = _bucket_call(table, "")
    width = next((one.width or 0 for one in table.partitions if one.transform == "bucket"), 0)
    return {str(bucket): f"{call} = {bucket}" for bucket in range(width)} if width <= _MAX_LITERALS else {}


def _bucket_call(table: Table, alias: str) -> str:
    found = [one for one in table.partitions if one.transform == "bucket"]
    return f"{CATALOG_NAME}.system.bucket({found[0].width}, {alias}`{found[0].column}`)" if found else ""


def _prune(table: Table, counts: Mapping[str, int]) -> str:
    """Return the bucket literals of the changed keys: what is scanned, and what a concurrent commit conflicts with."""
    found = [bucket for bucket in _buckets(table) if bucket in counts]
    return f"{_bucket_call(table, 't.')} IN ({', '.join(found)})" if found else "true"


Transform = Callable[["DataFrame"], "DataFrame"]
