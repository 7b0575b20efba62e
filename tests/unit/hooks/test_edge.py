"""The edge to Airflow: an error is Airflow's and keeps its own class."""

from __future__ import annotations

import pickle

import pytest

from airflow_lakehouse import exceptions
from airflow_lakehouse._compat import AirflowException, AirflowFailException
from airflow_lakehouse.exceptions import InputError, LakehouseError, QuotaError
from airflow_lakehouse.hooks.edge import airflow_error, airflow_errors
from airflow_lakehouse.operators.retries import job_retry_policy

ERRORS = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, LakehouseError)]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_is_both(kind: type[LakehouseError]) -> None:
    """Airflow sees its exception, a callback the class; text, legal values and remedy stay, also through pickle."""
    error = airflow_error(kind("7 was given", legal="1 to 5", remedy="give less"))
    assert isinstance(error, kind)
    assert isinstance(error, AirflowException)
    assert str(error) == f"{kind.__name__}: 7 was given. Legal: 1 to 5. Remedy: give less."
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert airflow_error(again) is again


def test_what_a_retry_cannot_mend_fails_at_once() -> None:
    """A wrong input is an AirflowFailException on every Airflow; a quota is not."""
    with pytest.raises(AirflowFailException), airflow_errors():
        raise InputError("the drop is empty")
    with pytest.raises(AirflowException) as caught, airflow_errors():
        raise QuotaError("no room")
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        ("QuotaError", "RETRY"),
        ("ThrottledError", "RETRY"),
        ("JobLostError", "RETRY"),
        ("JobCancelledError", "FAIL"),
        ("MemoryExceededError", "FAIL"),
        ("JobFailedError", "DEFAULT"),
    ],
)
def test_the_retry_policy_tells_failures_apart(error: str, action: str) -> None:
    """What the operator raises is matched by the policy; the policy survives Airflow's serialisation."""
    if not hasattr(pytest.importorskip("airflow.sdk"), "RetryAction"):
        pytest.skip("Airflow before 3.3 has no retry policies")
    policy = type(job_retry_policy()).deserialize(job_retry_policy().serialize())
    raised = airflow_error(getattr(exceptions, error)("why"))
    assert policy.evaluate(raised, 1, 3).action.name == action
