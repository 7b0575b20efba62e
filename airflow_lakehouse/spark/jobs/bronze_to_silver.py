"""Bronze to silver: what bronze has gained since each silver table last looked, conformed and merged."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_lakehouse.exceptions import AuditError, ReconciliationError
from airflow_lakehouse.spark.bronze import ledger_rows, staging
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.documents import doc_blocks
from airflow_lakehouse.spark.engine.job_session import job_session
from airflow_lakehouse.spark.engine.session import stamp
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.iceberg import conflicts, load
from airflow_lakehouse.spark.iceberg.as_of import resolve
from airflow_lakehouse.spark.jobs.model import UNCHANGED, JobArguments, JobResult
from airflow_lakehouse.spark.silver import delta, observations, privacy, resources, totals
from airflow_lakehouse.spark.silver.release import Release, record
from airflow_lakehouse.spark.silver.work import Work
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import by_name, silver
from airflow_lakehouse.tables.checks import ROW_COUNT

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.spark.bronze.scope import Scope
    from airflow_lakehouse.spark.iceberg.as_of import AsOf
    from airflow_lakehouse.spark.silver.conform import Outcome
    from airflow_lakehouse.tables import Table

NAME = "bronze_to_silver"
_log = logging.getLogger(__name__)
Marks = tuple[delta.Watermark | None, delta.Watermark]
"""What a silver table has seen, and what there is."""


def run(arguments: JobArguments) -> JobResult:
    """Bring every silver table up to date, and make anew what was asked for: staged, audited, and published together.

    Where another run commits to one of them meanwhile, what is left to do is looked at again.

    :param arguments: the profile; whether silver is made anew, and which part of it.
    :raises LakehouseError: when the warehouse cannot be used.
    :raises AuditError: when rows fail a check or the counts do not add up; readers see what they saw before, and the
        branch is kept.
    """
    started = time.monotonic()
    create_local_catalog(arguments.profile)
    catalog = load_pyiceberg(arguments.profile)
    # Before anything is made: a run that nobody knows is a mistake, and leaves nothing behind.
    moment = resolve(catalog, arguments.as_of)
    ensure_tables(catalog)
    passes = _passes(catalog, arguments)

    def work() -> None:
        for one in passes:
            _catch_up(catalog, arguments, moment, one)

    releases = [one.release for one in passes]
    try:
        conflicts.retried(work, NAME)
    except AuditError:
        for release in releases:
            release.keep()
        raise
    except Exception:
        # Whatever it was, it goes on up; branches that nobody will publish need not wait for an expiry.
        for release in releases:
            release.withdraw()
        raise
    finally:
        record(catalog, arguments.run_id, releases)
    for one in passes:
        if one.attempts > 1:
            # An attempt that met a conflict may have left a branch of a table that the next one found up to date.
            one.release.withdraw()
    result = JobResult(arguments.run_id, status=UNCHANGED)
    for release in releases:
        _report(result, release)
    result.seconds["silver"] = round(time.monotonic() - started, 3)
    return result


@dataclass
class _Pass:
    """One pass over silver.

    :param release: what it lets readers see; tables that were published stay so when another one conflicts.
    :param full: make everything anew.
    :param again: make anew what this part of bronze names; None to bring silver up to date.
    :param is_last: whether all must add up when it is done.
    :param attempts: how often it was begun.
    """

    release: Release
    full: bool = False
    again: Scope | None = None
    is_last: bool = True
    attempts: int = 0

    def due(self, marks: dict[str, Marks]) -> dict[str, Marks]:
        """Return the tables that are to be looked at.

        :param marks: of every table, what it has seen and what there is.
        :raises ConflictError: when a part is to be made anew, and there is more in bronze than silver has seen.
        """
        stale = {name: (seen, now) for name, (seen, now) in marks.items() if seen != now}
        if self.again is not None and stale:
            raise load.conflict(by_name(next(iter(stale))))
        is_anew = self.full or self.again is not None
        left = {name: both for name, both in marks.items() if both[0] and name not in self.release.published}
        due = stale | left if is_anew else stale
        return due if self.attempts <= 1 else {name: (totals.recounted(seen), now) for name, (seen, now) in due.items()}


def _passes(catalog: Catalog, arguments: JobArguments) -> list[_Pass]:
    # Who asks for what silver said before asks for fewer rows, too.
    accepted = {*arguments.accept, *((ROW_COUNT,) if arguments.as_of is not None else ())}

    def release() -> Release:
        return Release(catalog, arguments.run_id, accepted)

    if not (arguments.full and arguments.scope):
        return [_Pass(release(), full=arguments.full)]
    arguments.scope.check_holds(catalog, _all_sources())
    # A part of silver that is ahead of the rest, or behind it, has no watermark: all of it is brought to one first.
    return [_Pass(release(), is_last=False), _Pass(release(), again=arguments.scope)]


def _catch_up(catalog: Catalog, arguments: JobArguments, moment: AsOf, this: _Pass) -> None:
    """Make silver say what bronze says now, or said at a moment.

    :param moment: when bronze is read as of.
    :param this: how much of silver is looked at.
    """
    release = this.release
    this.attempts += 1
    entries = Ledger(catalog).rows(moment)
    dead, returned = ledger_rows.dead(entries), ledger_rows.returned(entries)
    hidden = privacy.of(arguments.profile)
    there = delta.present(catalog, _all_sources(), dead, hidden.digest if hidden else "", moment)
    # Before the watermarks are read: what is committed in between must count as a conflict.
    began = {table.name: load.snapshot_id(catalog, table) for table in silver.TABLES}
    marks = {table.name: _marks(catalog, table, there) for table in silver.TABLES}
    stale = this.due(marks)
    release.start(began, {name: now for name, (_, now) in stale.items()})
    if not stale and not release.published:
        if this.is_last:
            release.check_what_is_there(there, began, {name: seen for name, (seen, _) in marks.items() if seen})
        return
    with job_session(arguments.profile) as spark:
        stamp(spark, arguments.stamps(NAME))
        area = f"{arguments.staging_area}-silver"
        # Against another moment file versions may also come back to life, which no delta tells of. Rows under another
        # key, or none, name nobody that rows under this one do.
        full = this.full or arguments.as_of is not None
        full = full or any(seen and seen.privacy != now.privacy for seen, now in stale.values())
        staged = release.standing()
        work = Work(
            spark, catalog, area, dead, returned, there, full, hidden, began, release.branch, staged, this.again
        )
        try:
            outcomes = _refresh(work, {name: pair for name, pair in stale.items() if name not in work.staged})
            release.audit(spark, work.staged, outcomes, marks)
        finally:
            staging.clear(area, arguments.profile)
        try:
            release.reconcile(there, began)
        except ReconciliationError:
            # What is wrong may be what the next pass mends.
            if this.is_last:
                raise
        release.publish()


def _sources(table: Table) -> tuple[Table, ...]:
    return tuple(by_name(name) for name in table.reads)


def _all_sources() -> list[Table]:
    return list({source.name: source for table in silver.TABLES for source in _sources(table)}.values())


def _marks(catalog: Catalog, table: Table, there: delta.Watermark) -> Marks:
    """Return what a silver table has seen and what there is; an empty bronze counts as seen."""
    now = there.of(_sources(table))
    seen = delta.stored(catalog, table)
    if seen is None and now.snapshot(_sources(table)[0]) is None:
        return now, now
    return seen, now


def _refresh(work: Work, stale: dict[str, Marks]) -> dict[str, Outcome]:
    """Stage the tables that lag behind; return table name to what was done."""
    outcomes: dict[str, Outcome] = {}
    for made in resources.RESOURCE_TABLES:
        if made.target.name in stale:
            outcomes[made.target.name] = resources.refresh(work, made, *stale[made.target.name])
            _log.info("%s: conformed", made.target.name)
    observed = {name: stale[name][0] for table in observations.TARGETS if (name := table.name) in stale}
    if observed:
        now = stale[next(iter(observed))][1]
        outcomes.update(observations.refresh(work, observed, now))
        _log.info("%s: conformed", silver.OBSERVATION.name)
    if silver.DOC_BLOCKS.name in stale:
        outcomes[silver.DOC_BLOCKS.name] = doc_blocks.refresh(work, *stale[silver.DOC_BLOCKS.name])
        _log.info("%s: conformed", silver.DOC_BLOCKS.name)
    return outcomes


def _report(result: JobResult, release: Release) -> None:
    for name, outcome in release.published.items():
        earlier = result.tables.get(name, {})
        change = outcome.change.as_dict()
        result.tables[name] = {what: n if what == "rows" else n + earlier.get(what, 0) for what, n in change.items()}
        if outcome.totals:
            result.totals[name] = outcome.totals
    if release.has_published:
        result.status = "complete"
