"""Bronze to silver: what bronze has gained since each silver table last looked, conformed and merged."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from airflow_lakehouse.spark import (
    conflicts,
    delta,
    load,
    privacy,
    reconcile,
    silver_documents,
    silver_observations,
    silver_resources,
    staging,
)
from airflow_lakehouse.spark.as_of import resolve
from airflow_lakehouse.spark.catalog import create_local_catalog, load_pyiceberg
from airflow_lakehouse.spark.engine import job_session
from airflow_lakehouse.spark.evolve import evolve
from airflow_lakehouse.spark.jobs.model import UNCHANGED, JobArguments, JobResult
from airflow_lakehouse.spark.ledger import Ledger
from airflow_lakehouse.spark.session import stamp
from airflow_lakehouse.spark.work import Work
from airflow_lakehouse.tables import ops, silver

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.spark.as_of import AsOf
    from airflow_lakehouse.spark.conform import Outcome
    from airflow_lakehouse.tables import Table

NAME = "bronze_to_silver"
_log = logging.getLogger(__name__)


def run(arguments: JobArguments) -> JobResult:
    """Bring every silver table up to date.

    Where another run commits to one of them meanwhile, what is left to do is looked at again.

    :param arguments: the profile.
    :raises LakehouseError: when the warehouse cannot be used, or the counts do not add up.
    """
    started = time.monotonic()
    create_local_catalog(arguments.profile)
    catalog = load_pyiceberg(arguments.profile)
    # Before anything is made: a run that nobody knows is a mistake, and leaves nothing behind.
    moment = resolve(catalog, arguments.as_of)
    load.ensure_tables(catalog)
    outcomes: dict[str, Outcome] = {}
    result = JobResult(arguments.run_id)
    conflicts.retried(lambda: _catch_up(catalog, arguments, moment, result, outcomes), NAME)
    if not result.tables:
        result.status = UNCHANGED
    result.seconds["silver"] = round(time.monotonic() - started, 3)
    return result


def _catch_up(
    catalog: Catalog, arguments: JobArguments, moment: AsOf, result: JobResult, outcomes: dict[str, Outcome]
) -> None:
    """Make silver say what bronze says now, or said at a moment, and check it.

    :param moment: when bronze is read as of.
    :param outcomes: table name to what was done; tables that were committed stay in it when another one conflicts.
    """
    dead = Ledger(catalog).dead_versions(moment)
    sources = {source.name: source for table in silver.TABLES for source in _sources(table)}
    hidden = privacy.of(arguments.profile)
    there = delta.present(catalog, list(sources.values()), dead, hidden.digest if hidden else "", moment)
    # Before the watermarks are read: what is committed in between must count as a conflict.
    began = {table.name: load.snapshot_id(catalog, table) for table in silver.TABLES}
    marks = {table.name: _marks(catalog, table, there) for table in silver.TABLES}
    stale = {
        name: (seen, now)
        for name, (seen, now) in marks.items()
        if seen != now or (arguments.recompute and seen and name not in outcomes)
    }
    if not stale and not outcomes:
        # A run whose counts did not add up has committed all the same; this one must not call that well. Both tables of
        # observations carry one count, of what they hold together.
        totals = {name: seen.totals for name, (seen, _) in marks.items() if seen and seen.totals}
        totals.pop(silver.COLLISIONS.name, None)
        reconcile.check_totals(catalog, totals, there, began)
        return
    evolve(catalog, (*silver.TABLES, *ops.TABLES))
    with job_session(arguments.profile) as spark:
        stamp(spark, {"run-id": arguments.run_id, "job": NAME})
        area = f"{arguments.staging_area}-silver"
        # Against another moment file versions may also come back to life, which no delta tells of. Rows under another
        # key, or none, name nobody that rows under this one do.
        full = arguments.recompute or arguments.as_of is not None
        full = full or any(seen and seen.privacy != now.privacy for seen, now in stale.values())
        work = Work(spark, catalog, area, dead, there, full, hidden, began)
        try:
            _refresh(work, stale, outcomes)
        finally:
            staging.clear(area, arguments.profile)
        _report(result, outcomes)
        reconcile.check_silver(spark, catalog, outcomes, arguments.run_id)
        reconcile.check_totals(catalog, result.totals, there, began | work.left, arguments.run_id)


Marks = tuple[delta.Watermark | None, delta.Watermark]


def _sources(table: Table) -> tuple[Table, ...]:
    from airflow_lakehouse.tables import by_name

    return tuple(by_name(name) for name in table.reads)


def _marks(catalog: Catalog, table: Table, there: delta.Watermark) -> Marks:
    """Return what a silver table has seen and what there is; an empty bronze counts as seen."""
    now = there.of(_sources(table))
    seen = delta.stored(catalog, table)
    if seen is None and now.snapshot(_sources(table)[0]) is None:
        return now, now
    return seen, now


def _refresh(work: Work, stale: dict[str, Marks], outcomes: dict[str, Outcome]) -> None:
    for made in silver_resources.RESOURCE_TABLES:
        if made.target.name in stale:
            outcomes[made.target.name] = silver_resources.refresh(work, made, *stale[made.target.name])
            _log.info("%s: conformed", made.target.name)
    observed = {name: stale[name][0] for table in silver_observations.TARGETS if (name := table.name) in stale}
    if observed:
        now = stale[next(iter(observed))][1]
        outcomes.update(silver_observations.refresh(work, observed, now))
        _log.info("%s: conformed", silver.OBSERVATION.name)
    if silver.DOC_BLOCKS.name in stale:
        outcomes[silver.DOC_BLOCKS.name] = silver_documents.refresh(work, *stale[silver.DOC_BLOCKS.name])
        _log.info("%s: conformed", silver.DOC_BLOCKS.name)


def _report(result: JobResult, outcomes: dict[str, Outcome]) -> None:
    result.tables = {name: outcome.change.as_dict() for name, outcome in outcomes.items()}
    result.totals = {name: outcome.totals for name, outcome in outcomes.items() if outcome.totals}
