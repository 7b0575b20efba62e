"""The collector looks at what is new, and no more at what a triggerer has imported."""

from __future__ import annotations

import gc
import weakref

from airflow_lakehouse.triggers import heap


class _Ring:
    def __init__(self) -> None:
        self.ring = self


def test_what_is_there_is_put_aside_once_and_what_comes_later_is_collected() -> None:
    """A second call must not put aside what has come since: it would never be freed."""
    heap._done.clear()
    gc.unfreeze()
    try:
        heap.put_aside(heap.BEGUN)
        assert gc.get_freeze_count() > 10_000
        ring = weakref.ref(_Ring())
        heap.put_aside(heap.BEGUN)
        gc.collect()
        assert ring() is None
    finally:
        gc.unfreeze()
