"""Whose turn it is: queues of documents that may go on, and those that wait for their time."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.ocr.textract.steps import ADOPT, FINISH, POLL, PREPARE, REJECT, START, Doc

if TYPE_CHECKING:
    from collections.abc import Iterable

NEVER: Final = float("inf")


class _Waiting:
    """Documents by the time at which they are due. One that was given another turn meanwhile is passed over."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int, Doc]] = []
        self._numbers = itertools.count()

    def put(self, doc: Doc, due: float) -> None:
        doc.turn += 1
        heapq.heappush(self._heap, (due, next(self._numbers), doc.turn, doc))

    def first(self) -> tuple[float, Doc] | None:
        while self._heap:
            due, _, turn, doc = self._heap[0]
            if turn == doc.turn and not doc.is_out:
                return due, doc
            heapq.heappop(self._heap)
        return None

    def pop(self) -> Doc:
        return heapq.heappop(self._heap)[3]


class Turns:
    """The queues, one a step.

    :param documents: all documents of the batch.
    """

    def __init__(self, documents: Iterable[Doc]) -> None:
        self._ready: dict[str, deque[Doc]] = {step: deque() for step in (REJECT, FINISH, ADOPT, START, PREPARE)}
        self._ready[PREPARE].extend(documents)
        self._polls, self._paused = _Waiting(), _Waiting()

    def put(self, doc: Doc, step: str, *, first: bool = False) -> None:
        """Let a document take a step as soon as there is room.

        :param doc: the document.
        :param step: not :data:`POLL`, which has its time.
        :param first: before the others.
        """
        doc.step = step
        doc.turn += 1
        (self._ready[step].appendleft if first else self._ready[step].append)(doc)

    def put_later(self, doc: Doc, step: str, wait: float) -> None:
        """Let a document take a step after a wait.

        :param doc: the document.
        :param step: which.
        :param wait: seconds.
        """
        doc.step = step
        (self._polls if step == POLL else self._paused).put(doc, time.monotonic() + wait)

    def wake(self, now: float) -> float:
        """Let documents go on whose wait is over; return seconds until the next one's is.

        :param now: monotonic time.
        """
        while found := self._paused.first():
            due, doc = found
            if due > now:
                return due - now
            self.put(self._paused.pop(), doc.step, first=True)
        return NEVER

    def due_poll(self, now: float) -> tuple[float, Doc | None]:
        """Return the document whose job is due to be asked for, or the seconds until one is.

        :param now: monotonic time.
        """
        found = self._polls.first()
        if found is None:
            return NEVER, None
        due, doc = found
        return (0.0, doc) if due <= now else (due - now, None)

    def take_poll(self) -> Doc:
        """Take out the document that :meth:`due_poll` has returned."""
        return self._polls.pop()

    def peek(self, step: str) -> Doc | None:
        """Return the first of a queue.

        :param step: of the queue.
        """
        return self._ready[step][0] if self._ready[step] else None

    def take(self, step: str) -> Doc:
        """Take out the first of a queue.

        :param step: of the queue.
        """
        return self._ready[step].popleft()

    def count(self, step: str) -> int:
        """Return how many may take a step.

        :param step: which.
        """
        return len(self._ready[step])
