"""silver_fct_observation and silver_observation_collisions: one grain, and what it has no place for.

Two resources may share patient, time and code. One holds the key; the others, and those that lack a part of the key,
are collisions. When one of them changes, all that share a key with it, before or after, are looked at again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.silver import conform, delta, orphans, totals
from airflow_lakehouse.spark.transforms import fhir, subjects, versions
from airflow_lakehouse.spark.transforms.observation import observations, with_components
from airflow_lakehouse.tables import bronze, by_name, silver
from airflow_lakehouse.tables.privacy import ORDERING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from airflow_lakehouse.spark.silver.conform import Outcome
    from airflow_lakehouse.spark.silver.work import Work

SAME_KEY: Final = "SAME_KEY"
"""Another observation of the same patient, time and code is newer; ``winner_observation_id`` names it."""
TARGETS: Final = (silver.OBSERVATION, silver.COLLISIONS)
SOURCE: Final = bronze.OBSERVATION
_GRAIN: Final = silver.OBSERVATION.key
_IS_COMPONENT: Final = "parent_observation_id IS NOT NULL"
_IDENTITY: Final = "coalesce(parent_observation_id, observation_id)"
_RESOURCE: Final = (conform.RESOURCE[0], f"{_IDENTITY} AS {conform.RESOURCE[1]}")


def refresh(work: Work, seen: dict[str, delta.Watermark | None], now: delta.Watermark) -> dict[str, Outcome]:
    """Bring both tables up to date.

    :param work: the run.
    :param seen: target name to its watermark; they differ where a run was killed between the two commits.
    :param now: the watermark this run leaves.
    """
    from pyspark.sql import functions as F

    named, n_named = _affected(work, seen, now)
    if named is not None and not n_named:
        return _unchanged(work, named, seen, now)
    ids, (rows, counts, components) = named, _read(work, named, "observations_named")
    if named is not None:
        ids, n_ids = _with_rivals(work, named, rows)
        if n_ids > n_named:
            rows, counts, components = _read(work, ids, "observations")
    rows = orphans.flagged(work, silver.OBSERVATION, rows, ids)
    lost, collided = work.keep_counted(place(rows), "observations_lost", {silver.COLLISIONS.name: "true"})
    # Rivals were read to judge the keys they share; what else they hold has not changed and is not looked at.
    keys = None if named is None else _keys(work, rows, named)
    outcomes = {}
    n_lost = collided.get(silver.COLLISIONS.name, 0)
    n_rows = counts.get(versions.WINNER, 0) + components
    expected = {silver.OBSERVATION.name: n_rows - n_lost, silver.COLLISIONS.name: n_lost}
    now = replace(now, totals=_totals(work, components, ids, counts, seen))
    for target, how in ((silver.OBSERVATION, "left_anti"), (silver.COLLISIONS, "inner")):
        mine = rows.join(F.broadcast(lost), list(silver.COLLISIONS.key), how).select(*target.column_names)
        mine = work.private(target, mine, ORDERING)
        wanted, present = _scope(mine, keys, named), _scope(work.read(target), keys, named)
        change = conform.stage(work, target, wanted, present, now)
        outcomes[target.name] = conform.Outcome(change, expected=expected[target.name] if named is None else None)
    outcomes[silver.OBSERVATION.name].classes = counts
    outcomes[silver.OBSERVATION.name].totals = now.totals
    return outcomes


def _unchanged(
    work: Work, named: DataFrame, seen: dict[str, delta.Watermark | None], now: delta.Watermark
) -> dict[str, Outcome]:
    """Bring both tables to a watermark under which no row of theirs differs."""
    now = replace(now, totals=_totals(work, 0, named, {}, seen))
    outcomes = {target.name: conform.Outcome(conform.stage_mark(work, target, now)) for target in TARGETS}
    outcomes[silver.OBSERVATION.name].totals = now.totals
    return outcomes


def _totals(
    work: Work, made: int, ids: DataFrame | None, counts: dict[str, int], seen: dict[str, delta.Watermark | None]
) -> dict[str, int]:
    """Return class to rows over all runs: those of bronze, and the components made of them.

    :param made: components of the resources this run looked at.
    """
    marks = [seen.get(target.name) for target in TARGETS]
    # After a run that was killed between the two commits, no mark tells what both tables hold.
    mark = marks[0] if marks[0] == marks[1] else None
    known = totals.carried(work, SOURCE, mark) if ids is not None else None
    if known is not None and totals.COMPONENT in known:
        return known
    if ids is not None:
        parts = [work.read(one).where(_IS_COMPONENT).selectExpr(*_RESOURCE) for one in TARGETS]
        held = parts[0].unionByName(parts[1])
        if mark is not None and totals.COMPONENT in mark.totals:
            made += mark.totals[totals.COMPONENT] - conform.only(held, ids).count()
        else:
            made += held.join(ids, list(conform.RESOURCE), "left_anti").count()
    return {**totals.count(work, SOURCE, ids, counts, mark), totals.COMPONENT: made}


def _affected(
    work: Work, seen: dict[str, delta.Watermark | None], now: delta.Watermark
) -> tuple[DataFrame | None, int]:
    """Return what changed since the older of the two watermarks, and whose flags must, None for all; and how many."""
    found = []
    for name, mark in seen.items():
        ids = conform.affected(work, SOURCE, mark, now)
        if ids is None or mark is None:
            return None, 0
        moved = orphans.moved(work, by_name(name), _IDENTITY, mark, now)
        found += [ids] if moved is None else [ids, moved]
    named = reduce(lambda left, right: left.unionByName(right), found)
    kept, counts = work.keep_counted(named.distinct(), "observations_ids", {"ids": "true"})
    return kept, counts.get("ids", 0)


def _read(work: Work, ids: DataFrame | None, name: str) -> tuple[DataFrame, dict[str, int], int]:
    """Return the current observations and components, read once and kept, class to rows of bronze, and components."""
    live = conform.only(work.live(SOURCE), ids)
    rows, counts = conform.current(work, live, silver.KEEP_NEWEST, name, subjects.REFERRED)
    made = with_components(observations(rows))
    # What decides who holds a key stays true until that is decided.
    settled = [column for column in silver.OBSERVATION.column_names if column not in ORDERING]
    each = {versions.WINNER: f"NOT ({_IS_COMPONENT})", totals.COMPONENT: _IS_COMPONENT}
    kept, found = work.keep_counted(work.private(silver.OBSERVATION, made, settled), name, each)
    components = found.pop(totals.COMPONENT, 0)
    return kept, {**counts, **found}, components


def _occupied(work: Work) -> DataFrame:
    """Return resource and grain of every observation silver knows, kept or collided."""
    parts = [work.read(target).selectExpr(*_GRAIN, _RESOURCE[1]) for target in TARGETS]
    return parts[0].unionByName(parts[1])


def _with_rivals(work: Work, named: DataFrame, rows: DataFrame) -> tuple[DataFrame, int]:
    """Add the resources that share a key with the named ones, as they are now or as silver still has them.

    :param rows: of the named ones, as they are now.
    """
    occupied = _occupied(work)
    keys = rows.select(*_GRAIN).unionByName(conform.only(occupied, named).select(*_GRAIN)).distinct()
    rivals = conform.only(occupied, keys, _GRAIN).select(*conform.RESOURCE)
    every = named.unionByName(rivals).distinct()
    kept, found = work.keep_counted(every, "observations_affected", {"ids": "true"})
    return kept, found.get("ids", 0)


def _keys(work: Work, rows: DataFrame, named: DataFrame) -> DataFrame:
    """Return the keys the named resources occupy now or occupied before."""
    now = rows.selectExpr(*_GRAIN, f"{_IDENTITY} AS resource_id")
    both = now.unionByName(_occupied(work))
    return work.keep(conform.only(both, named).select(*_GRAIN).distinct(), "observations_keys")


def _scope(rows: DataFrame, keys: DataFrame | None, named: DataFrame | None) -> DataFrame:
    """Return the rows of these keys, and those of these resources that have no whole key."""
    from pyspark.sql import functions as F

    if keys is None or named is None:
        return rows
    by_key = rows.join(keys, list(_GRAIN), "left_semi")
    keyless = F.lit(False)
    for column in _GRAIN:
        keyless = keyless | F.col(column).isNull()
    mine = rows.where(keyless).withColumn("resource_id", F.expr(_IDENTITY))
    return by_key.unionByName(conform.only(mine, named).drop("resource_id").select(*rows.columns))


def place(rows: DataFrame) -> DataFrame:
    """Tell which rows the grain has no place for: all but the newest of a key, and those without a whole key.

    A record that was entered in error gives way to any that was not: it must not hide what is true.

    :param rows: current versions, one row an observation or component.
    :return: the key of silver_observation_collisions, ``collision_reason`` and ``winner_observation_id``.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    deciding = {*_GRAIN, "observation_id", "version_id", *silver.KEEP_NEWEST.order_by} & set(rows.columns)
    valid = ~F.array_contains("flags", fhir.ENTERED_IN_ERROR)
    narrow = rows.select(*sorted(deciding), valid.alias("valid")).withColumn(
        "version_number", F.expr(versions.VERSION_NUMBER)
    )
    order = [
        F.col("valid").desc(),
        *versions.newest_first(silver.KEEP_NEWEST),
        F.col("observation_id").desc_nulls_last(),
    ]
    window = Window.partitionBy(*_GRAIN).orderBy(*order)
    missing = F.coalesce(*(F.when(F.col(name).isNull(), F.lit(f"NULL_{name.upper()}")) for name in _GRAIN))
    ranked = versions.contested(narrow, _GRAIN, missing.isNotNull()).select(
        *silver.COLLISIONS.key,
        F.coalesce(missing, F.lit(SAME_KEY)).alias("collision_reason"),
        F.when(missing.isNull(), F.first("observation_id").over(window)).alias("winner_observation_id"),
        (missing.isNull() & (F.row_number().over(window) == 1)).alias("wins"),
    )
    return ranked.where(~F.col("wins")).drop("wins")
