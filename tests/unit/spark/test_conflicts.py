"""Trying again after another run has committed first."""

from __future__ import annotations

import pytest

from airflow_lakehouse.exceptions import ConflictError
from airflow_lakehouse.spark.iceberg import conflicts


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "_PAUSE_SECONDS", 0)


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (ConflictError("moved"), conflicts.ATTEMPTS),
        (RuntimeError("org.apache.iceberg.exceptions.ValidationException: found"), conflicts.ATTEMPTS),
        (ValueError("another thing"), 1),
    ],
)
def test_a_conflict_that_does_not_end_is_an_error(error: Exception, times: int) -> None:
    """A conflict is tried again a bounded number of times; what is none, not at all."""
    tries = []

    def work() -> None:
        tries.append(error)
        raise error

    with pytest.raises(type(error)):
        conflicts.retried(work, "table")
    assert len(tries) == times


def test_the_first_success_is_the_result() -> None:
    """Work that conflicts twice is done a third time, and its result is returned."""
    errors = [ConflictError("moved"), ConflictError("moved")]

    def work() -> int:
        if errors:
            raise errors.pop()
        return 7

    assert conflicts.retried(work, "table") == 7
