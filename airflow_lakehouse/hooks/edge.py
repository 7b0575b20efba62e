"""The edge to Airflow: this package's errors become Airflow's here, and nowhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from airflow_lakehouse._compat import AirflowException, AirflowFailException
from airflow_lakehouse.exceptions import AuditError, LakehouseError, UsageError
from airflow_lakehouse.ocr.textract.errors import code_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_RETRY: Final = (UsageError, AuditError)
"""Errors that a second attempt meets again: somebody has to mend the input, the connection or the data."""

_MADE: Final[dict[type[LakehouseError], type[LakehouseError]]] = {}


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Turn this package's errors into Airflow's: those that a retry cannot mend fail the task at once."""
    try:
        yield
    except LakehouseError as error:
        raise airflow_error(error) from error


def airflow_error(error: LakehouseError) -> Exception:
    """Return an error that is both: Airflow's, and of the class it had.

    A retry policy or a failure callback so sees a :class:`~airflow_lakehouse.exceptions.QuotaError`, and Airflow's own
    code an ``AirflowException``, or an ``AirflowFailException`` for what no retry mends.

    :param error: what was raised.
    """
    if isinstance(error, AirflowException):
        return error
    return _rebuild(type(error), error.message, error.legal, error.remedy)


def said(error: BaseException) -> str:
    """Return what events and logs may say of an error: our own words, Airflow's and the system's.

    Another library's may quote anything: http.client says a header it cannot send, and with it the token. Of those the
    service's code is told, or the class.

    :param error: what was raised.
    """
    if isinstance(error, (LakehouseError, AirflowException)):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return code_of(error)


def _rebuild(kind: type[LakehouseError], message: str, legal: str | None, remedy: str | None) -> Exception:
    return cast("Exception", _both(kind)(message, legal=legal, remedy=remedy))


def _both(kind: type[LakehouseError]) -> type[LakehouseError]:
    """Make the class once: ``except`` and retry policies compare classes by identity."""
    if kind in _MADE:
        return _MADE[kind]
    base = AirflowFailException if issubclass(kind, _NO_RETRY) else AirflowException

    def render(self: LakehouseError) -> str:
        return f"{kind.__name__}: {kind._render(self)}"  # noqa: SLF001 - its own method

    def reduce(self: LakehouseError) -> tuple[Any, ...]:
        # The class is made here and cannot be found by name.
        return _rebuild, (kind, self.message, self.legal, self.remedy)

    members = {"_render": render, "__reduce__": reduce, "__module__": kind.__module__}
    return _MADE.setdefault(kind, type(kind.__name__, (kind, base), members))
