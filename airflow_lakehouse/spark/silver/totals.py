"""How many bronze rows are in each class, over all runs: carried from commit to commit, like the watermark.

A run looks at some resources only. The totals it leaves are those of the run before, less the classes the rows of these
resources had then, plus the classes they have now. Where that cannot be told, everything is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.silver import conform, delta
from airflow_lakehouse.spark.transforms import versions
from airflow_lakehouse.tables import silver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from airflow_lakehouse.spark.silver.delta import Watermark
    from airflow_lakehouse.spark.silver.work import Work
    from airflow_lakehouse.tables import Table

REPLACED: Final = "replaced"
"""Class of the rows of a file version that a newer one has replaced."""
COMPONENT: Final = "component"
"""Class of the rows that silver makes of the parts of a winner."""
_NAMELESS: Final = "_nameless"
BRONZE_CLASSES: Final = (versions.WINNER, versions.SUPERSEDED, versions.EXCLUDED, REPLACED)
"""Every row of bronze is in exactly one of them."""


def carried(work: Work, source: Table, seen: Watermark | None) -> dict[str, int] | None:
    """Return the totals of the run before where bronze is as it was then: its rows are in the classes they were in.

    :param work: the run.
    :param source: the bronze table.
    :param seen: watermark of the silver table, with the totals so far.
    """
    if seen is None or not seen.totals or seen.dead != work.bronze.dead:
        return None
    return dict(seen.totals) if seen.snapshot(source) == work.bronze.snapshot(source) else None


def recounted(seen: Watermark | None) -> Watermark | None:
    """Return a watermark without the count of components, which are counted anew then.

    What a run takes off that count it reads in silver. After a conflict silver may hold, for the keys that are looked
    at, what another run has made of a later bronze than the watermark tells of.

    :param seen: watermark of the silver table.
    """
    if seen is None:
        return None
    return replace(seen, totals={name: rows for name, rows in seen.totals.items() if name != COMPONENT})


def count(
    work: Work, source: Table, ids: DataFrame | None, now: dict[str, int], seen: Watermark | None
) -> dict[str, int]:
    """Return class to rows of a bronze table, over all runs.

    :param work: the run.
    :param source: the bronze table.
    :param ids: resources this run looked at; None for all.
    :param now: classes of their rows now.
    :param seen: watermark of the silver table, with the totals so far.
    """
    known = carried(work, source, seen) if ids is not None else None
    if known is not None:
        return known
    replaced = work.replaced(source).count() if work.dead else 0
    if ids is None:
        return _clean(Counter(now) + Counter({REPLACED: replaced}))
    if seen is None or not seen.totals or seen.dead != work.bronze.dead:
        every = classes(work.live(source))
        return _clean(every + Counter({REPLACED: replaced}))
    added = delta.added_rows(work.spark, work.catalog, source, seen.snapshot(source), work.bronze.snapshot(source))
    # No delta by resource tells of rows that name none; they are never superseded, so those that came are those more.
    nameless = added.where("resource_id IS NULL") if added is not None else None
    before = classes(conform.only(work.live(source, seen.snapshot(source)), ids), nameless)
    total = Counter(seen.totals)
    total.update(now)
    total.update({versions.EXCLUDED: before.pop(_NAMELESS, 0)})
    total.subtract(before)
    return _clean(total)


def classes(rows: DataFrame, nameless: DataFrame | None = None) -> Counter[str]:
    """Return class to rows.

    :param rows: live bronze rows.
    :param nameless: rows that are counted beside them, in a class of their own: a query less.
    """
    from pyspark.sql import functions as F

    lost = versions.losers(rows, conform.RESOURCE, silver.KEEP_NEWEST)
    every = rows.select(F.lit(versions.WINNER).alias(versions.CLASS))
    every = every.unionByName(lost.select(versions.CLASS))
    if nameless is not None:
        every = every.unionByName(nameless.select(F.lit(_NAMELESS).alias(versions.CLASS)))
    counted = Counter({row[versions.CLASS]: row["count"] for row in every.groupBy(versions.CLASS).count().collect()})
    counted[versions.WINNER] -= sum(counted[class_] for class_ in (versions.SUPERSEDED, versions.EXCLUDED))
    return counted


def _clean(total: Counter[str]) -> dict[str, int]:
    return {name: rows for name, rows in sorted(total.items()) if rows}
