"""How much memory Java and Python hold while something runs."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Self


def _descendants(root: int) -> set[str]:
    """Return the ids of a process and of those it has started, and they."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[stat.parent.name] = stat.read_text().rpartition(")")[2].split()[1]
    found, left = set(), [str(root)]
    while left:
        found.add(left.pop())
        left += [pid for pid, parent in parents.items() if parent in found and pid not in found and pid not in left]
    return found


def memory_mib(root: int | None = None) -> float:
    """Return what Java and Python processes hold now, by their own pages (Pss).

    :param root: only of this process and its descendants; None for all on this machine.
    """
    total, ours = 0, _descendants(root) if root else None
    for status in Path("/proc").glob("[0-9]*/smaps_rollup"):
        if ours is not None and status.parent.name not in ours:
            continue
        try:
            name = (status.parent / "comm").read_text().strip()
            if name.startswith(("java", "python", "lakehouse")):
                total += next(
                    int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("Pss:")
                )
        except (OSError, StopIteration):
            continue
    return total / 1024


class Peak:
    """Watches memory twice a second for the time of a ``with`` block; ``mib`` is the most that was seen.

    :param root: see :func:`memory_mib`.
    """

    def __init__(self, root: int | None = None) -> None:
        self.mib, self._root = 0.0, root
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            self.mib = max(self.mib, memory_mib(self._root))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
