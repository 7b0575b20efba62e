"""Spark's errors as errors of ours: what went wrong and what to do, without the data that was being read."""

from __future__ import annotations

import os
import re
from typing import Final

from airflow_lakehouse.exceptions import JobError, LakehouseError, SourceReadError
from airflow_lakehouse.spark.engine.connect_server import is_elsewhere, state_dir
from airflow_lakehouse.spark.engine.job_session import CLUSTER_VARIABLE
from airflow_lakehouse.spark.iceberg.conflicts import is_conflict

_TOLD: Final = (
    (
        # How S3 and Glue say that they are asked too often, and how Arrow passes it on.
        ("ThrottlingException", "Rate exceeded", "SlowDown", "SLOW_DOWN", "HTTP status 503"),
        "S3 or Glue refused, however often it was asked",
        "run it again, later or less at once; what is done already stays. The runbook: S3 or Glue refuses",
    ),
    (
        ("UNAVAILABLE", "Connection refused", "Socket closed", "SESSION_CLOSED", "INVALID_HANDLE"),
        "the Spark engine went away",
        "run it again; if it dies again read {log} and give it more memory (LAKEHOUSE_ENGINE_MEMORY)",
    ),
)
"""Words in the text of an error, what they mean, and what to do."""
_JAVA: Final = re.compile(r"^(?:: |Caused by: )(?:[a-z]\w*\.)+([A-Z]\w*)", re.MULTILINE)
"""Classes in a Java stack trace: what was raised, and what that was caused by."""


def as_lakehouse_error(job: str, error: BaseException) -> LakehouseError:
    """Return the error a job ends with, whatever was raised.

    :param job: name of the job.
    :param error: what was raised.
    """
    log = _log()
    return known_error(job, error) or JobError(
        f"{job} failed with {kind_of(error)}", remedy=f"read {log}; the run can be started again as it was"
    )


def known_error(job: str, error: BaseException) -> LakehouseError | None:
    """Return the error of this package that says what was raised; None for what is not known.

    The text of a Spark error quotes values it could not convert: it stays in the engine's log, on the machine that
    has the data, and only its class is passed on.

    :param job: name of the job.
    :param error: what was raised.
    """
    if isinstance(error, LakehouseError):
        return error
    text = str(error)
    kind = kind_of(error)
    log = _log()
    if is_conflict(error):
        return JobError(
            f"{job}: another run committed to the same partition first, or the catalog did not answer ({kind})",
            remedy="run it again; what is loaded already is found and not loaded twice",
        )
    for words, said, remedy in _TOLD:
        if any(word in text for word in words):
            return JobError(f"{job}: {said} ({kind})", remedy=remedy.format(log=log))
    if SourceReadError.__name__ in text:
        return SourceReadError(
            f"{job}: a file could not be read as it was listed ({kind})",
            remedy="run it again: the drop is listed anew, and nothing of it was loaded yet",
        )
    if isinstance(error, OSError) and error.filename:
        return JobError(f"{job}: {error.strerror}: {error.filename}", remedy="mend the file or its permissions")
    return None


def kind_of(error: BaseException) -> str:
    """Return the class of an error and, of Spark's, its condition, of Java's, what it was and what caused that.

    Nothing of its text but names of classes.

    :param error: what was raised.
    """
    if hasattr(error, "java_exception"):  # py4j's, of a session that is no client of Spark Connect
        names = list(dict.fromkeys(_JAVA.findall(str(error))))
        causes = f", caused by {names[-1]}" if names[1:] else ""
        return f"{type(error).__name__}{f' {names[0]}' if names else ''}{causes}"
    condition = getattr(error, "getCondition", None) or getattr(error, "getErrorClass", None)
    found = condition() if callable(condition) else None
    return f"{type(error).__name__}{f' {found}' if found else ''}"


def _log() -> str:
    """Return which log says more: a cluster's driver and a server of somebody else's have their own."""
    if os.environ.get(CLUSTER_VARIABLE):
        return "the driver's log"
    return "the log of the Spark Connect server" if is_elsewhere() else str(state_dir() / "engine.log")
