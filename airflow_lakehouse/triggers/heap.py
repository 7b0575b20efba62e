"""Keep Python's collector from stopping the triggerer's loop."""

from __future__ import annotations

import gc
from typing import Final

BEGUN: Final = "begun"
"""Before the first trigger of a process opens anything: what Airflow has imported."""
OPENED: Final = "opened"
"""After that: clients, and what they have imported."""
_done: set[str] = set()
"""Moments of this process that are over."""


def put_aside(moment: str) -> None:
    """Take what the process holds by now out of the collector's sight, once a process and moment.

    A full collection goes through all that Airflow has imported, two hundred thousand objects that stay for good, and
    no other thread runs meanwhile: a triggerer's loop stands still for 0.1 s and more, every trigger in it. This is
    :func:`gc.freeze`; what comes later is collected as ever (``docs/decisions/0021-the-heap-is-put-aside.md``).

    :param moment: :data:`BEGUN` or :data:`OPENED`.
    """
    if moment not in _done:
        _done.add(moment)
        gc.freeze()
