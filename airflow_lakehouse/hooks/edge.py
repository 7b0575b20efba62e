"""The edge to Airflow: this package's errors become Airflow's here, and nowhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from airflow_lakehouse._compat import AirflowException, AirflowFailException
from airflow_lakehouse.exceptions import AuditError, LakehouseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_RETRY: Final = (UsageError, AuditError)
"""Errors that a second attempt meets again: somebody has to mend the input, the connection or the data."""


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Turn this package's errors into Airflow's: those that a retry cannot mend fail the task at once."""
    try:
        yield
    except LakehouseError as error:
        kind = AirflowFailException if isinstance(error, _NO_RETRY) else AirflowException
        raise kind(f"{type(error).__name__}: {error}") from error
