"""What to do after which failure of a job, as a retry policy of Airflow 3.3."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from airflow_lakehouse import exceptions

_AFTER: Final = (
    (exceptions.ThrottledError, timedelta(minutes=2), "the service was asked too often"),
    (exceptions.QuotaError, timedelta(minutes=10), "the service has no room for the job now"),
    (exceptions.CredentialsError, timedelta(minutes=5), "credentials may be renewed by then"),
    (exceptions.JobLostError, timedelta(seconds=10), "what the job ran on is gone, the job itself may be well"),
    (exceptions.ConflictError, timedelta(seconds=10), "another run committed first"),
    (exceptions.SourceReadError, timedelta(minutes=1), "a file could not be read as it was listed"),
)
_NEVER: Final = (
    (exceptions.JobCancelledError, "somebody stopped the job, and meant it"),
    (exceptions.MemoryExceededError, "the job needs more memory; it would run out of it again"),
)


def job_retry_policy() -> Any:
    """Return the policy, for ``retry_policy=`` of an :class:`IcebergSparkOperator`.

    It names the classes of :mod:`airflow_lakehouse.exceptions`. A wrong input, connection or audit fails at once on
    every Airflow, with or without it.

    :raises SetupError: where Airflow is older than 3.3.
    """
    try:
        from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
    except ImportError as error:
        raise exceptions.SetupError(
            "this Airflow has no retry policies", legal="Airflow 3.3 or newer", remedy="leave retry_policy out"
        ) from error
    again = [
        RetryRule(exception=kind, action=RetryAction.RETRY, retry_delay=delay, reason=why)
        for kind, delay, why in _AFTER
    ]
    never = [RetryRule(exception=kind, action=RetryAction.FAIL, reason=why) for kind, why in _NEVER]
    return ExceptionRetryPolicy(rules=[*again, *never])
