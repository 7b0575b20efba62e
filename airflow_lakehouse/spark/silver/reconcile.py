"""Counting that every row of bronze is in exactly one class, and every winner in silver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import ReconciliationError
from airflow_lakehouse.spark.iceberg import load
from airflow_lakehouse.spark.silver.totals import BRONZE_CLASSES, COMPONENT
from airflow_lakehouse.spark.transforms.versions import WINNER
from airflow_lakehouse.tables import by_name, silver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.spark.bronze.counts import Count
    from airflow_lakehouse.spark.silver.conform import Outcome
    from airflow_lakehouse.spark.silver.delta import Watermark
    from airflow_lakehouse.tables import Table

MAKE_ANEW: Final = (
    "if silver was changed by hand, make it anew: `lakehouse run --full --warehouse DIR`, or"
    " arguments={'full': True} of the bronze_to_silver task; else keep the warehouse and report it with"
    " ops.reconciliation"
)
STORED: Final = "stored"
"""Class of the rows a table has, beside the classes they were counted in."""


def check_silver(counts: list[Count], outcomes: Mapping[str, Outcome]) -> None:
    """Count how the input of each silver table was classified, and check that all that was conformed is there.

    :param counts: gets the counts, also where they do not add up.
    :param outcomes: table name to what the run did.
    :raises ReconciliationError: when a table holds not as many rows as were conformed.
    """
    for name, outcome in outcomes.items():
        counts += [("silver", name, class_, count) for class_, count in sorted(outcome.classes.items())]
        counts += [("silver", name, change, count) for change, count in outcome.change.as_dict().items()]
    lost = [
        f"{name}: {outcome.expected} conformed, {outcome.change.rows} stored"
        for name, outcome in sorted(outcomes.items())
        if outcome.expected not in (None, outcome.change.rows)
    ]
    if lost:
        raise ReconciliationError("rows went missing or were doubled (" + "; ".join(lost) + ")")


def check_totals(
    counts: list[Count],
    catalog: Catalog,
    totals: dict[str, dict[str, int]],
    there: Watermark,
    left: Mapping[str, int | None],
) -> None:
    """Compare the classes of all bronze rows with what bronze and silver hold.

    Every row of bronze is in one class, and every winner and every component is a row of silver or a collision. Both
    are counted as this run has read and left them: another run may have gone on since.

    :param counts: gets the counts, also where they do not add up.
    :param catalog: the catalog.
    :param totals: silver table to class to rows, over all runs.
    :param there: the snapshots of bronze that were read.
    :param left: silver table name to the snapshot it was left at.
    :raises ReconciliationError: when they differ.
    """
    wrong = []
    for name, classes in sorted(totals.items()):
        source = by_name(by_name(name).reads[0])
        stored = _rows_at(catalog, source, there.snapshot(source))
        placed = sum(_rows_at(catalog, table, left.get(table.name)) for table in _places(by_name(name)))
        counts += [("total", name, class_, count) for class_, count in sorted(classes.items())]
        counts += [("total", name, STORED, placed), ("total", source.name, STORED, stored)]
        classified = sum(classes.get(class_, 0) for class_ in BRONZE_CLASSES)
        made = classes.get(WINNER, 0) + classes.get(COMPONENT, 0)
        wrong += [f"{source.name}: {classified} classified, {stored} stored"] if classified != stored else []
        wrong += [f"{name}: {made} made, {placed} stored"] if made != placed else []
    if wrong:
        raise ReconciliationError(
            f"rows went missing or were doubled over all runs ({'; '.join(wrong)})", remedy=MAKE_ANEW
        )


def _rows_at(catalog: Catalog, table: Table, snapshot: int | None) -> int:
    """Return the rows a table had at a snapshot; before its first one, none, whatever others have added since."""
    return load.row_count(catalog, table, snapshot) if snapshot is not None else 0


def _places(table: Table) -> tuple[Table, ...]:
    """Return the tables that hold what a table's source gives."""
    return (table, silver.COLLISIONS) if table is silver.OBSERVATION else (table,)
