"""How much memory Java and Python hold while something runs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self


def memory_mib() -> float:
    """Return what Java and Python processes hold now, by their own pages (Pss)."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/smaps_rollup"):
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
    """Watches memory twice a second for the time of a ``with`` block; ``mib`` is the most that was seen."""

    def __init__(self) -> None:
        self.mib = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            self.mib = max(self.mib, memory_mib())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
