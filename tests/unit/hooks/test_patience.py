"""How long is waited, and for how long a service that does not answer is forgiven."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_lakehouse.exceptions import CredentialsError, EngineError, JobLostError, QuotaError, ThrottledError
from airflow_lakehouse.hooks.spark.patience import FIRST_WAIT, LONGEST_WAIT, Patience


@given(poll=st.floats(0.01, 600), answers=st.integers(1, 40))
def test_waits_grow_to_the_poll_interval(poll: float, answers: int) -> None:
    """The first look comes soon, none later than the interval and its jitter."""
    patience = Patience(poll)
    waits = [patience.after_answer() for _ in range(answers)]
    assert waits[0] <= 1.2 * FIRST_WAIT
    assert all(0 < wait <= 1.2 * poll for wait in waits)
    if answers == 40 and poll < 60:
        assert waits[-1] >= 0.8 * poll


@pytest.mark.parametrize(
    "error", [EngineError("x"), ThrottledError("x"), QuotaError("x"), CredentialsError("x"), OSError()]
)
def test_what_may_pass_is_waited_out_longer_each_time(error: Exception) -> None:
    """Under throttling waits double, up to a bound, and begin anew after an answer."""
    patience = Patience(5)
    waits = [patience.after_failure(error) for _ in range(12)]
    assert waits[3] > 2 * waits[0]
    assert max(waits) <= 1.2 * LONGEST_WAIT
    patience.after_answer()
    assert patience.after_failure(error) < 0.5 * waits[3]


def test_what_does_not_pass_ends_the_waiting() -> None:
    """A job that is gone, and a programming error, are raised at once."""
    for error in (JobLostError("gone"), KeyError("state")):
        with pytest.raises(type(error)):
            Patience(5).after_failure(error)


def test_silence_has_an_end() -> None:
    """A service that never answers does not hold a task for ever, deadline or not."""
    patience = Patience(5, give_up_seconds=0.05)
    patience.after_failure(OSError("down"))
    time.sleep(0.06)
    with pytest.raises(OSError, match="down"):
        patience.after_failure(OSError("down"))


def test_the_deadline_counts_whatever_the_time_was_spent_on() -> None:
    """No wait reaches past it, also after a failure."""
    patience = Patience(60, deadline=time.time() + 0.1)
    assert not patience.is_over
    assert patience.after_failure(ThrottledError("x")) <= 0.12
    time.sleep(0.11)
    assert patience.is_over
