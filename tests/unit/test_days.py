"""Days as they are written on a command line, in a template or in JSON."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_lakehouse.days import PATTERN, Days, as_day
from airflow_lakehouse.exceptions import InputError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze.scope import Scope
from airflow_lakehouse.spark.jobs import JobArguments

DAYS = st.dates(date(1990, 1, 1), date(2100, 1, 1))


@given(DAYS, st.integers(0, 400), DAYS)
def test_a_range_holds_both_its_ends(first: date, length: int, other: date) -> None:
    """A day is in a range if it is none of the days before and after; what has no day is in none."""
    last = first + timedelta(days=length)
    for text, low, high in (
        (f"{first}", first, first),
        (f"{first}..{last}", first, last),
        (f"{first}..", first, date.max),
        (f"..{last}", date.min, last),
    ):
        days = Days.parse(text)
        assert (other in days) == (low <= other <= high)
        assert {low, high} - {date.min, date.max} <= {day for day in (low, high) if day in days}
        assert None not in days
        assert re.fullmatch(PATTERN, text)
        assert Days.parse(str(days)) == days


def test_a_range_of_one_day_is_that_day() -> None:
    """It gives files without a day that day, as the day alone does."""
    assert Days.parse("2026-01-01..2026-01-01") == Days.parse("2026-01-01")
    assert Days.parse("2026-01-01").only == date(2026, 1, 1)
    assert Days.parse("2026-01-01..").only is None


@pytest.mark.parametrize(
    "text",
    [
        "", "..", "2026-01", "20260115", "2026-W03-4", "2026-02-30", "2026-01-01...2026-01-02", "2026-01-01..x",
        "2026-01-01..2026-01-02..2026-01-03", " 2026-01-01", "2026-01-01T00:00:00", "None..None",
        "2026-01-01/2026-01-02", "\uff12026-01-01",
    ],
)  # fmt: skip
def test_other_forms_are_refused_with_the_legal_ones(text: str) -> None:
    """A week, a month, a time and a slip of the finger are refused, never taken for every day."""
    with pytest.raises(InputError, match=r"names no days.*YYYY-MM-DD.*FIRST\.\.LAST.*FIRST\.\.") as raised:
        Days.parse(text)
    assert raised.value.exit_code == 2


def test_a_range_does_not_run_backwards() -> None:
    """The ends in the wrong order are said to be."""
    with pytest.raises(InputError, match="ends before it begins"):
        Days.parse("2026-01-02..2026-01-01")


def test_a_partition_is_named_by_its_day_alone() -> None:
    """Other forms of ISO 8601 name no partition."""
    assert as_day("2026-01-15") == date(2026, 1, 15)
    assert [as_day(text) for text in ("2026-W03-4", "20260115", "2026-13-45", "")] == [None] * 4


def test_a_job_refuses_wrong_days_before_it_begins() -> None:
    """From JSON as from Python; empty is every day."""
    values = {"profile": {"warehouse": "/w"}, "dt": "2026-1-1"}
    with pytest.raises(InputError, match="'2026-1-1' names no days"):
        JobArguments.from_dict(values)
    assert not JobArguments.from_dict({**values, "dt": ""}).scope
    assert JobArguments.from_dict({**values, "dt": "2026-01-01..", "full": "True"}).full


def test_a_part_is_of_now() -> None:
    """A part of silver as of another moment than the rest is refused, with what is legal."""
    with pytest.raises(Exception, match=r"as of 'run-1' for dt='2026-01-01' and source_system='north' alone.*Legal"):
        JobArguments(Profile("/w"), dt="2026-01-01", source_system="north", full=True, as_of="run-1")
    # Without full, the days are those of the drop.
    assert JobArguments(Profile("/w"), dt="2026-01-01", as_of="run-1").scope.dt == "2026-01-01"


def test_a_scope_covers_what_was_loaded_with_its_days() -> None:
    """Day and sender must both be right; what has no day is of no range."""
    scope = Scope("..2026-01-31", "north")
    assert scope.covers(date(2026, 1, 31), "north")
    assert not scope.covers(date(2026, 2, 1), "north")
    assert not scope.covers(date(2026, 1, 1), "south")
    assert not scope.covers(None, "north")
    assert Scope(source_system="north").covers(None, "north")
    assert Scope().covers(None, "south")
    assert not Scope()
