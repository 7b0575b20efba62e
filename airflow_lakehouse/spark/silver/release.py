"""What one run is about to let readers of silver see: staged, audited, and published together or not at all."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_lakehouse.exceptions import ReconciliationError
from airflow_lakehouse.spark.bronze import counts as kept_counts
from airflow_lakehouse.spark.iceberg import branches, load
from airflow_lakehouse.spark.silver import audit, reconcile
from airflow_lakehouse.spark.silver.observations import TARGETS
from airflow_lakehouse.tables import silver

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from airflow_lakehouse.spark.iceberg.branches import Staged
    from airflow_lakehouse.spark.silver.conform import Outcome
    from airflow_lakehouse.spark.silver.delta import Watermark

_log = logging.getLogger(__name__)
_TOGETHER = frozenset(table.name for table in TARGETS)
"""Tables that divide one set of rows between them: staged again, they are staged again together."""


@dataclass(frozen=True)
class _Audited:
    """A table that passed its audit and waits for the others."""

    mark: Watermark
    outcome: Outcome
    staged: Staged


class Release:
    """The silver tables of one run, over all its attempts.

    :param catalog: the catalog.
    :param run_id: the run.
    :param accepted: checks whose failure does not stop it.
    """

    def __init__(self, catalog: Catalog, run_id: str, accepted: Collection[str] = ()) -> None:
        audit.check_accepted(accepted)
        self._catalog = catalog
        self._accepted = accepted
        self.findings: dict[str, list[audit.Finding]] = {}
        self.counts: list[kept_counts.Count] = []
        self.branch = branches.new_name(run_id)
        self.staged: dict[str, _Audited] = {}
        """Table name to what waits to be published."""
        self.published: dict[str, Outcome] = {}
        """Table name to what was done, for tables readers see as this run left them."""
        self.has_published = False
        """Whether readers see anything else than before."""

    def start(self, began: Mapping[str, int | None], marks: Mapping[str, Watermark]) -> None:
        """Begin an attempt: keep of earlier ones what still stands.

        A table stands where its main has not moved and bronze has not gone on: what was audited is what this attempt
        would make again.

        :param began: table name to the snapshot of main this attempt looks at.
        :param marks: table name to the watermark it is to leave, for tables that lag behind.
        """
        fallen = {
            name for name, one in self.staged.items() if one.staged.base != began[name] or one.mark != marks.get(name)
        }
        if fallen & _TOGETHER:
            fallen.update(name for name in _TOGETHER if name in self.staged)
        branches.drop(self._catalog, [self.staged.pop(name).staged.table for name in sorted(fallen)], self.branch)

    def standing(self) -> dict[str, Staged]:
        """Return table name to what earlier attempts have staged, and need not be staged again."""
        return {name: one.staged for name, one in self.staged.items()}

    def audit(
        self,
        spark: SparkSession,
        staged: Mapping[str, Staged],
        outcomes: Mapping[str, Outcome],
        marks: Mapping[str, tuple[Watermark | None, Watermark]],
    ) -> None:
        """Run the checks of tables that were just staged.

        :param spark: the session.
        :param staged: table name to what is staged.
        :param outcomes: table name to what was done, for tables that were just staged.
        :param marks: table name to the watermarks before and after.
        :raises CheckFailedError: when rows fail a check that is not accepted.
        """
        fresh = [name for name in outcomes if name in staged]
        for name in fresh:
            self.staged[name] = _Audited(marks[name][1], outcomes[name], staged[name])
        # A table that is as it should be has nothing to publish.
        self.published.update({name: outcome for name, outcome in outcomes.items() if name not in staged})
        findings = audit.run(spark, [staged[name] for name in fresh], self._accepted)
        for name in fresh:
            self.findings[name] = [finding for finding in findings if finding.staged.table.name == name]
        audit.refuse(findings)

    def reconcile(self, there: Watermark, began: Mapping[str, int | None]) -> None:
        """Check that every row of bronze is in its place in what is published and waits to be.

        :param there: the snapshots of bronze that were read.
        :param began: table name to the snapshot of main.
        :raises ReconciliationError: when one is not.
        :raises ConflictError: when one is not, and another run has committed meanwhile.
        """
        outcomes = {**self.published, **{name: one.outcome for name, one in self.staged.items()}}
        left = {**began, **{name: one.staged.snapshot for name, one in self.staged.items()}}
        totals = {name: outcome.totals for name, outcome in outcomes.items() if outcome.totals}
        self.counts = []
        with self._at_rest(began):
            reconcile.check_silver(self.counts, outcomes)
            reconcile.check_totals(self.counts, self._catalog, totals, there, left)

    def publish(self) -> None:
        """Let readers see everything that waits.

        :raises ConflictError: when main of a table has moved; what was published before it stays so.
        """
        waiting = [one.staged for one in self.staged.values()]
        # Of tables that cannot all be published none is, unless main moves in the moment in between.
        for staged in waiting:
            branches.check_base(self._catalog, staged)
        for staged in waiting:
            branches.publish(self._catalog, staged)
            self.published[staged.table.name] = self.staged.pop(staged.table.name).outcome
            self.has_published = True
        _log.info("published: %d tables of silver", len(waiting))

    def keep(self) -> None:
        """Keep what failed, for whoever looks into it."""
        branches.keep(self._catalog, [one.staged for one in self.staged.values()])

    def withdraw(self) -> None:
        """Take the branches away: whoever runs again makes them anew."""
        branches.drop(self._catalog, silver.TABLES, self.branch)

    def check_what_is_there(
        self, there: Watermark, began: Mapping[str, int | None], seen: Mapping[str, Watermark]
    ) -> None:
        """Check that the counts of earlier runs still hold, where there is nothing to do.

        Somebody may have changed silver by hand since; this run must not call that well.

        :param there: the snapshots of bronze that were read.
        :param began: table name to the snapshot of main.
        :param seen: table name to its watermark, with the counts.
        :raises ReconciliationError: when they do not.
        :raises ConflictError: when they do not, and another run has committed meanwhile.
        """
        totals = {name: mark.totals for name, mark in seen.items() if mark.totals}
        # Both tables of observations carry one count, of what they hold together.
        totals.pop(silver.COLLISIONS.name, None)
        with self._at_rest(began):
            reconcile.check_totals([], self._catalog, totals, there, began)

    @contextmanager
    def _at_rest(self, began: Mapping[str, int | None]) -> Iterator[None]:
        """Take what does not add up for a conflict where a table has moved: what was counted is of two moments."""
        try:
            yield
        except ReconciliationError:
            for table in silver.TABLES:
                if load.snapshot_id(self._catalog, table) != began[table.name]:
                    raise load.conflict(table) from None
            raise


def record(catalog: Catalog, run_id: str, releases: Sequence[Release]) -> None:
    """Write down what a run counted and found, whatever came of it.

    :param catalog: the catalog.
    :param run_id: the run.
    :param releases: of its passes, in order; what a later one counts again takes the place of what an earlier one did.
    """
    counts = {count[:3]: count for release in releases for count in release.counts}
    findings = {name: found for release in releases for name, found in release.findings.items()}
    kept_counts.record(catalog, list(counts.values()), run_id)
    audit.record(catalog, [one for found in findings.values() for one in found], run_id)
