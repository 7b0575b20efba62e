"""What is known of a document before it is paid for: processes that open documents, lent to one thread at a time."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.ocr.engine import NONE
from airflow_lakehouse.ocr.preflight import TEXTRACT_ASYNC, Preflight
from airflow_lakehouse.ocr.reader import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_lakehouse.ocr.preflight import Checked
    from airflow_lakehouse.ocr.reader import DocumentResult, OnPage
    from airflow_lakehouse.parsing.model import Rejected


class _Lent:
    """Things that one thread may use at a time, and that cost a second to make."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        # They use a core each; more of them than cores would only take memory.
        self._room = threading.BoundedSemaphore(min(4, os.cpu_count() or 1))
        self._free: SimpleQueue[Any] = SimpleQueue()
        self._all: list[Any] = []

    @contextmanager
    def one(self) -> Iterator[Any]:
        with self._room:
            try:
                thing = self._free.get_nowait()
            except Empty:
                thing = self._make()
                self._all.append(thing)
            try:
                yield thing
            finally:
                self._free.put(thing)

    def close(self) -> None:
        for thing in self._all:
            thing.close()


class Inspector:
    """Looks at documents before they are paid for, and reads those that need no OCR."""

    def __init__(self) -> None:
        self._preflights = _Lent(lambda: Preflight(TEXTRACT_ASYNC))
        self._readers = _Lent(lambda: Worker(NONE, threads=1))

    def check(self, path: Path, *, born_digital: bool) -> Checked | Rejected:
        """Return what a document is, or why Textract would not take it.

        :param path: a copy on this machine.
        :param born_digital: look for pages with a text layer to be trusted.
        """
        with self._preflights.one() as preflight:
            found: Checked | Rejected = preflight.check(path, born_digital=born_digital)
        return found

    def read_text_layer(self, path: Path, doc_id: str, on_page: OnPage) -> DocumentResult:
        """Read the text layers of a document.

        :param path: a copy on this machine.
        :param doc_id: hex sha256 of its bytes.
        :param on_page: called with each page.
        """
        with self._readers.one() as reader:
            result: DocumentResult = reader.read(path, doc_id, on_page=on_page)
        return result

    def close(self) -> None:
        """End the processes."""
        self._preflights.close()
        self._readers.close()
