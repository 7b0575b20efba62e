"""What of a driver's log may be seen in Airflow: a Spark error quotes the value it failed on, perhaps a patient's."""

from __future__ import annotations

import re
from typing import Final

from airflow_lakehouse import exceptions
from airflow_lakehouse.exceptions import (
    CredentialsError,
    JobFailedError,
    JobLostError,
    LakehouseError,
    MemoryExceededError,
    QuotaError,
)

_OWN: Final = re.compile(r"(?:\S+ )?(?:\S+ )?\[?(?:INFO|WARNING|ERROR)\]? +(?:airflow_lakehouse|lakehouse)\b")
"""A line of this package's own loggers, which never say what is in a record."""
_ERROR: Final = re.compile(r"ERROR\]? +airflow_lakehouse\S*: (\w+): (.*)")
_CLASS: Final = re.compile(
    r"\b(?:[A-Za-z_]\w*[.$])*[A-Z]\w*(?:Error|Exception|Exit)\b(?:: (\[[A-Z][A-Z0-9_.]+\]|\d+\b))?"
)
"""A class of errors, and what may follow it: a condition of Spark such as ``[DIVIDE_BY_ZERO]``, or an exit code."""
_CHARACTERS: Final = 500
_LINES: Final = 10

_LOST: Final = (
    r"exit ?code:? (?:134|137|143)\b|ExecutorLost|\bspot\b"
    r"|(?:driver|worker|host|node|executor)s? \S* ?(?:was |were )?(?:lost|terminated|killed|decommissioned)"
    r"|internal (?:service|server)? ?(?:error|exception|failure)"
)
_KINDS: Final = (
    (QuotaError, r"maximum ?capacity|quota|limit exceeded|insufficient capacity|could not be allocated"),
    (CredentialsError, r"ExpiredToken|security token .* expired"),
    (MemoryExceededError, r"OutOfMemory|out of memory|beyond the .* memory limit"),
    (JobLostError, _LOST),
)
"""Errors by what a service says when it was neither the job nor its data."""


def own_lines(text: str) -> list[str]:
    """Return the lines of a log that this package wrote.

    :param text: whole lines.
    """
    return [line for line in text.splitlines() if _OWN.match(line)]


def without_values(text: str) -> str:
    """Return what a service says of a failure, with the classes of errors in it and without their messages.

    :param text: such as ``stateDetails`` of EMR Serverless or ``ErrorMessage`` of Glue.
    """
    first = _CLASS.search(text)
    if first is None:
        return " ".join(text.split())[:_CHARACTERS]
    head = " ".join(text[: first.start()].split())
    return f"{head} {', '.join(_classes(text))}".strip()[:_CHARACTERS]


def failure(details: str, log: str) -> tuple[str, str]:
    """Return why a job failed that has left no result, and the name of the error class that says so.

    :param details: what the service says of it.
    :param log: of the driver, as far as it can be read.
    """
    own, said = own_lines(log), without_values(details)
    told = next((found for line in reversed(own) if (found := _ERROR.search(line))), None)
    if told and _is_ours(told[1]):
        return told[2], told[1]
    seen = _classes("\n".join(line for line in log.splitlines() if not line.startswith((" ", "\t"))))
    kind = next(
        (kind for kind, words in _KINDS if re.search(words, f"{details} {' '.join(seen)}", re.IGNORECASE)), None
    )
    lines = [said or "the service gives no reason"]
    if seen:
        lines.append(f"raised in the driver: {', '.join(seen)}")
    if own:
        lines += ["last lines of the driver's log:", *own[-_LINES:]]
    return "\n".join(lines), (kind or JobFailedError).__name__


def _classes(text: str) -> list[str]:
    """Return the last few classes of errors a text names, with what may follow them, each once."""
    found = [f"{match[0].partition(':')[0]}{f': {match[1]}' if match[1] else ''}" for match in _CLASS.finditer(text)]
    return list(dict.fromkeys(found))[-3:]


def _is_ours(name: str) -> bool:
    kind = getattr(exceptions, name, None)
    return isinstance(kind, type) and issubclass(kind, LakehouseError)
