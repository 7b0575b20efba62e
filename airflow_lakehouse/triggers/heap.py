"""Keep Python's collector from stopping the triggerer's loop."""

from __future__ import annotations

import gc
from functools import cache


@cache
def put_aside() -> None:
    """Take what the process holds by now out of the collector's sight, once a process.

    A full collection goes through all that Airflow has imported, half a million objects that stay for good, and no
    other thread runs meanwhile: a triggerer's loop stands still for 0.2 s and more, every trigger in it. This is
    :func:`gc.freeze`; what comes later is collected as ever (``docs/decisions/0021-the-heap-is-put-aside.md``).
    """
    gc.freeze()
