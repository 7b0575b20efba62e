"""Reading a document in a bounded process: it may crash, hang or swell, and every page still has an outcome."""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_lakehouse.exceptions import OcrError, SetupError
from airflow_lakehouse.ocr import blocks as kinds
from airflow_lakehouse.ocr.blocks import Block, PageRead, PageResult
from airflow_lakehouse.ocr.child import READ
from airflow_lakehouse.ocr.engine import engine_version
from airflow_lakehouse.ocr.formats import MAGIC, MAGIC_WITHIN, format_of_file
from airflow_lakehouse.ocr.limits import Limits

if TYPE_CHECKING:
    from types import TracebackType

EMPTY_FILE: Final = "EMPTY_FILE"
"""The file has no bytes."""
NOT_A_PDF: Final = "NOT_A_PDF"
"""No ``%PDF-`` within the first 1,024 bytes, and no PNG, JPEG or TIFF."""
TOO_LARGE: Final = "TOO_LARGE"
"""The file has more bytes than the limit."""
ENGINE_CRASHED: Final = "ENGINE_CRASHED"
"""The process that read it died."""
TIMEOUT: Final = "TIMEOUT"
"""It took longer than the limit."""

NOT_A_DOCUMENT: Final = f"no {MAGIC.decode()} within the first {MAGIC_WITHIN} bytes, and no PNG, JPEG or TIFF"
DOCUMENT_OK: Final = "ok"
REJECTED: Final = "rejected"

STARTUP_SECONDS: Final = 60.0
"""On top of a page's time for the first one: a new process imports onnxruntime and loads its models."""
_MOST_THREADS: Final = 4
"""More gain little on one page, and every stack counts against the address space."""
_DOCUMENTS_A_PROCESS: Final = 200
"""Then a new one: what native libraries leak is given back."""

OnPage = Callable[[PageRead], None]


@dataclass
class DocumentResult:
    """What became of a document.

    :param doc_id: hex sha256 of its bytes.
    :param engine: ``local`` or ``none``.
    :param engine_version: what results are stored under.
    :param status: ``ok``, or ``rejected`` where no page could be read for a reason of the whole document.
    :param reason: UPPER_SNAKE code of a rejection.
    :param detail: what was wrong, without any text of the document.
    :param pages: pages it has; 0 where that is not known.
    :param results: one a page, in order; empty for a rejected document.
    :param page_reads: the pages with their blocks, where the caller did not take them one by one.
    """

    doc_id: str
    engine: str
    engine_version: str
    status: str = DOCUMENT_OK
    reason: str | None = None
    detail: str = ""
    pages: int = 0
    results: list[PageResult] = field(default_factory=list)
    page_reads: list[PageRead] = field(default_factory=list)

    def count(self, status: str) -> int:
        """Return how many pages have a status.

        :param status: ``ok``, ``blank`` or ``failed``.
        """
        return sum(result.status == status for result in self.results)


class Gone(Exception):  # noqa: N818 - an outcome the reader handles, never raised to callers
    """The process is no more, or was ended; carries the reason code."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Worker:
    """One reading process, started when needed and again when it was lost. Use it as a context manager.

    :param engine: ``local`` or ``none``.
    :param limits: bounds of each document.
    :param threads: threads of the engine.
    """

    def __init__(self, engine: str, limits: Limits | None = None, threads: int | None = None) -> None:
        self.engine = engine
        self.engine_version = engine_version(engine)
        self.limits = limits or Limits()
        self._threads = threads or min(_MOST_THREADS, os.cpu_count() or 1)
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._served = 0
        self._is_stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process, self._buffer, self._served = self._process, None, b"", 0
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        process.wait()

    def stop(self) -> None:
        """Make a :meth:`read` that is under way in another thread end soon, with an error.

        Only the process is ended here; its pipes belong to the thread that reads them.
        """
        self._is_stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def read(
        self,
        path: Path,
        doc_sha256: str,
        *,
        done: Collection[PageResult] = (),
        on_page: OnPage | None = None,
        password: str | None = None,
    ) -> DocumentResult:
        """Read a document; never raises for what is in it.

        :param path: the file.
        :param doc_sha256: hex sha256 of its bytes.
        :param done: results of pages that need not be read again.
        :param on_page: called with each page as it is read; without it the result holds them.
        :param password: opens the document, where it needs one.
        :raises OcrError: when :meth:`stop` was called.
        :raises SetupError: when the engine cannot start on this machine.
        """
        result = DocumentResult(doc_sha256, self.engine, self.engine_version)
        rejected = preflight(path, self.limits)
        if rejected:
            result.status, (result.reason, result.detail) = REJECTED, rejected
            return result
        found = {page.page: page for page in done}
        reading = _Reading(self, path, result, found, on_page or _keep(result), password)
        try:
            reading.run()
        except BaseException:
            # What the process has yet to say is about this document; the next one read must not hear it.
            self.close()
            raise
        return result

    def request(self, values: dict[str, Any]) -> None:
        """Send a request, to a new process where there is none.

        :param values: the request.
        :raises Gone: when the process is lost.
        :raises OcrError: when :meth:`stop` was called.
        """
        if self._is_stopped:
            raise OcrError("reading was stopped", remedy="run it again; what was read is kept")
        if self._served >= _DOCUMENTS_A_PROCESS:
            self.close()
        if self._process is None:
            self._process = _start(self._threads)
        self._served += 1
        values = {**values, "engine": self.engine, "threads": self._threads, "limits": asdict(self.limits)}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(values).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.close()
            raise Gone(ENGINE_CRASHED) from None

    def event(self, deadline: float) -> dict[str, Any]:
        """Return the next event.

        :param deadline: monotonic time at which the process is ended instead.
        :raises Gone: when there is none.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        chunks = [self._buffer]
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in chunks[-1]:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    self.close()
                    raise Gone(TIMEOUT)
                chunk = os.read(descriptor, 1 << 20)
                if not chunk:
                    self.close()
                    raise Gone(ENGINE_CRASHED)
                chunks.append(chunk)
        line, _, self._buffer = b"".join(chunks).partition(b"\n")
        event: dict[str, Any] = json.loads(line)
        return event


@dataclass
class _Reading:
    """One document on its way through a worker."""

    worker: Worker
    path: Path
    result: DocumentResult
    found: dict[int, PageResult]
    on_page: OnPage
    password: str | None = field(default=None, repr=False)
    kills: int = 0

    def run(self) -> None:
        ends = time.monotonic() + self.worker.limits.document_seconds
        reason: str | None = None
        while self._next() and self.kills <= self.worker.limits.max_restarts and time.monotonic() < ends:
            try:
                self._once(ends)
                break
            except Gone as gone:
                reason = gone.reason
                self.kills += 1
                if not self.result.pages and self.kills > 1:
                    break  # Twice lost before it could be opened.
                if self.result.pages and self._next():
                    self._fail(self._next(), reason)
        if self.result.status == REJECTED:
            return
        if not self.result.pages:
            self.result.status, self.result.reason = REJECTED, reason or TIMEOUT
            self.result.detail = "the process that opened it was lost"
            return
        while number := self._next():
            self._fail(number, reason if reason and self.kills > self.worker.limits.max_restarts else TIMEOUT)
        self.result.results = [self.found[number] for number in sorted(self.found)]

    def _next(self) -> int:
        """Return the first page without an outcome; 1 while the pages are not known, 0 when there is none."""
        if not self.result.pages:
            return 1
        return next((number for number in range(1, self.result.pages + 1) if number not in self.found), 0)

    def _once(self, ends: float) -> None:
        limits = self.worker.limits
        used = sum(page.method == kinds.OCR for page in self.found.values())
        self.worker.request(
            {
                "do": READ,
                "path": str(self.path),
                "password": self.password,
                "doc_sha256": self.result.doc_id,
                "first_page": self._next(),
                "skip": sorted(self.found),
                "ocr_left": None if limits.ocr_pages is None else max(0, limits.ocr_pages - used),
            }
        )
        extra = STARTUP_SECONDS
        while True:
            event = self.worker.event(min(ends, time.monotonic() + limits.page_seconds + extra))
            if event["event"] == "end":
                return
            if event["event"] == "broken":
                raise SetupError(event["message"], remedy=event["remedy"])
            if event["event"] == "rejected":
                self.result.status, self.result.pages = REJECTED, event["pages"]
                self.result.reason, self.result.detail = event["reason"], event["detail"]
                return
            if event["event"] == "opened":
                self.result.pages = event["pages"]
                continue
            extra = 0.0
            self._take(PageRead(PageResult(**event["result"]), tuple(_block(values) for values in event["blocks"])))

    def _take(self, read: PageRead) -> None:
        self.found[read.result.page] = read.result
        self.on_page(read)

    def _fail(self, number: int, reason: str) -> None:
        self._take(PageRead(PageResult(number, kinds.FAILED, reason)))


def _block(values: dict[str, Any]) -> Block:
    lists = {name: tuple(values[name]) for name in ("polygon", "parent_ids", "entity_types")}
    return Block(**{**values, **lists})


def _keep(result: DocumentResult) -> OnPage:
    def keep(read: PageRead) -> None:
        result.page_reads.append(read)
        result.page_reads.sort(key=lambda page: page.result.page)

    return keep


def _start(threads: int) -> subprocess.Popen[bytes]:
    import airflow_lakehouse

    package = str(Path(airflow_lakehouse.__file__).parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(threads),
        # Every thread's own arena of malloc counts against the address space.
        "MALLOC_ARENA_MAX": "2",
    }
    return subprocess.Popen(
        # -P: a drop or project folder that is the current one may hold a json.py.
        [sys.executable, "-P", "-m", "airflow_lakehouse.ocr.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Never shown: a library's complaint may quote the document.
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def preflight(path: Path, limits: Limits) -> tuple[str, str] | None:
    """Return reason and detail of a file that need not be opened, or None.

    :param path: the file.
    :param limits: bounds.
    """
    size = path.stat().st_size
    if size == 0:
        return EMPTY_FILE, "the file has no bytes"
    if size > limits.max_bytes:
        return TOO_LARGE, f"{size} bytes, {limits.max_bytes} are allowed"
    return None if format_of_file(path) else (NOT_A_PDF, NOT_A_DOCUMENT)


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file.

    :param path: the file.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_document(
    data: Path | str | bytes,
    *,
    engine: str = "local",
    limits: Limits | None = None,
    on_page: OnPage | None = None,
    password: str | None = None,
) -> DocumentResult:
    """Read one document in a process of its own.

    :param data: a path, or the document's bytes.
    :param engine: ``local`` or ``none``.
    :param limits: bounds.
    :param on_page: called with each page as it is read; without it the result holds them.
    :param password: opens the document, where it needs one.
    :raises OcrError: when the engine is not known.
    :raises SetupError: when what it needs is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="lakehouse-ocr-") as folder, Worker(engine, limits) as worker:
        if isinstance(data, bytes):
            path = Path(folder) / "document"
            path.write_bytes(data)
        else:
            path = Path(data)
        return worker.read(path, sha256_of(path), on_page=on_page, password=password)
