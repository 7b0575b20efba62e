"""Counts of silver that do not add up stop the run; no engine, no catalog."""

from __future__ import annotations

import pytest

from airflow_lakehouse.exceptions import ReconciliationError
from airflow_lakehouse.spark.conform import Outcome
from airflow_lakehouse.spark.load import Change
from airflow_lakehouse.spark.reconcile import Count, check_silver
from airflow_lakehouse.tables import silver


def test_a_row_that_is_not_stored_stops_the_run() -> None:
    """Fewer rows than were conformed, or more, is an error that names both; the counts are there all the same."""
    name = silver.PATIENT.name
    check_silver([], {name: Outcome(Change(rows=3), {"winner": 3}, 3)})
    check_silver([], {name: Outcome(Change(rows=9), {"winner": 3})})
    counts: list[Count] = []
    with pytest.raises(ReconciliationError, match=f"{name}: 4 conformed, 3 stored"):
        check_silver(counts, {name: Outcome(Change(rows=3), {"winner": 4}, 4)})
    assert ("silver", name, "winner", 4) in counts
