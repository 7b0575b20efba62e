"""Counts of silver that do not add up stop the run; no engine, no catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.exceptions import ReconciliationError
from airflow_lakehouse.spark.iceberg.load import Change
from airflow_lakehouse.spark.silver.conform import Outcome
from airflow_lakehouse.spark.silver.reconcile import check_silver
from airflow_lakehouse.tables import silver

if TYPE_CHECKING:
    from airflow_lakehouse.spark.bronze.counts import Count


def test_a_row_that_is_not_stored_stops_the_run() -> None:
    """Fewer rows than were conformed, or more, is an error that names both; the counts are there all the same."""
    name = silver.PATIENT.name
    check_silver([], {name: Outcome(Change(rows=3), {"winner": 3}, 3)})
    check_silver([], {name: Outcome(Change(rows=9), {"winner": 3})})
    counts: list[Count] = []
    with pytest.raises(ReconciliationError, match=f"{name}: 4 conformed, 3 stored"):
        check_silver(counts, {name: Outcome(Change(rows=3), {"winner": 4}, 4)})
    assert ("silver", name, "winner", 4) in counts
