"""Two runs that commit to one table at once: the later one looks again at what is there, and tries once more.

Iceberg lets the first commit win. It tries again by itself where nothing but the order of commits was in the way;
where what a commit relied on has changed it refuses (``ValidationException``), and only who made the rows can tell
what is left to do (https://iceberg.apache.org/docs/latest/reliability/#concurrent-write-operations).

So it is where the catalog's answer to a commit was lost, and it cannot be asked either
(``CommitStateUnknownException``): the commit may be there. Work that reads again what is there finds out, and a commit
that arrives later still meets the catalog's lock.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Final, TypeVar

from airflow_lakehouse.exceptions import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)
_NAMES: Final = (
    "ValidationException",
    "CommitFailedException",
    "CommitStateUnknownException",
    "ConcurrentModification",
)
ATTEMPTS: Final = 6
"""How often work is done until it commits; each time, another run has committed instead."""
_PAUSE_SECONDS: Final = 0.25
T = TypeVar("T")


def is_conflict(error: BaseException) -> bool:
    """Tell whether something failed because another run committed first, or nobody knows whether this one has.

    :param error: what was raised, by PyIceberg, by Spark or here.
    """
    # PyIceberg raises a class of that name, Spark carries the name of one in its text.
    told = f"{type(error).__name__} {error}"
    return isinstance(error, ConflictError) or any(name in told for name in _NAMES)


def retried(work: Callable[[], T], what: str) -> T:
    """Do work that ends in a commit; when another run commits first, do it again, a bounded number of times.

    :param work: reads what is there and commits; done again, it must read again.
    :param what: table or job, for the log.
    :return: what the work returns.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return work()
        except Exception as error:
            if not is_conflict(error):
                raise
            _log.info("%s: another run committed first, or an answer was lost; looking again (%d)", what, attempt)
            # Of two that wait equally long, the same one would lose again.
            time.sleep(_PAUSE_SECONDS * attempt * (1 + random.random()))  # noqa: S311 - not a secret
    return work()
