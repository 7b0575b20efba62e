"""Reading many documents, each content once, and storing what they hold."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_lakehouse.ocr import blocks as kinds
from airflow_lakehouse.ocr.child import ENCRYPTED, WRONG_PASSWORD
from airflow_lakehouse.ocr.engine import engine_version
from airflow_lakehouse.ocr.folder import Folder, local_copy, open_folder
from airflow_lakehouse.ocr.formats import format_of
from airflow_lakehouse.ocr.limits import Limits
from airflow_lakehouse.ocr.reader import Worker, sha256_of
from airflow_lakehouse.ocr.results import (
    Manifest,
    Pointer,
    ResultWriter,
    note_again,
    read_manifest,
    read_pointer,
    result_folder,
    write_pointer,
)

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.parsing.model import SourceFile

READ: Final = "read"
REUSED: Final = "reused"
UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class DocumentToRead:
    """One version of one document in the raw drop.

    :param source_uri: where it is; a path, ``file://...`` or ``s3://...``.
    :param source_etag: version of its content; a local file's is its sha256.
    :param dt: day of the drop.
    :param source_system: who sent it.
    """

    source_uri: str
    source_etag: str
    dt: str | None = None
    source_system: str = "default"

    @classmethod
    def of(cls, file: SourceFile) -> Self:
        """Return the document of a file that a drop was found to hold.

        :param file: the file.
        """
        return cls(file.uri, file.etag, file.dt, file.source_system)


@dataclass
class BatchReport:
    """What became of a batch; counts, no text.

    :param documents: how many there were.
    :param read: how many were read now.
    :param reused: how many had a result already, of this run or an earlier one.
    :param unreadable: how many could not be opened at all, such as files that vanished; they have no result.
    :param pages_ok: pages with text, of all documents.
    :param pages_blank: pages without any.
    :param pages_failed: pages that could not be read.
    :param rejected: rejected documents by reason.
    :param manifests: URIs of the results' manifests, in the documents' order.
    :param seconds: time it took.
    """

    documents: int = 0
    read: int = 0
    reused: int = 0
    unreadable: int = 0
    pages_ok: int = 0
    pages_blank: int = 0
    pages_failed: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    manifests: tuple[str, ...] = ()
    seconds: float = 0.0

    def counts(self) -> dict[str, Any]:
        """Return the counts alone, small enough for XCom."""
        return {
            "documents": self.documents,
            "read": self.read,
            "reused": self.reused,
            "unreadable": self.unreadable,
            "pages_ok": self.pages_ok,
            "pages_blank": self.pages_blank,
            "pages_failed": self.pages_failed,
            "rejected": self.rejected,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class DocumentOutcome:
    """What became of one document of a batch, as :func:`read_batch` reports it on the way.

    :param document: the document.
    :param how: ``read``, ``reused`` or ``unreadable``.
    :param manifest: its result; None where it is unreadable.
    :param uri: URI of the manifest; empty where it is unreadable.
    """

    document: DocumentToRead
    how: str
    manifest: Manifest | None
    uri: str = ""


OnProgress = Callable[[DocumentOutcome], None]


def is_document(name: str, head: bytes) -> bool:
    """Tell whether a file is to be read as a document: by its content, or by a name that claims to be one.

    :param name: its name or URI.
    :param head: its first bytes.
    """
    return format_of(head) is not None or name.lower().endswith(".pdf")


def read_batch(  # noqa: PLR0913 - everything but the documents is an option
    documents: Iterable[DocumentToRead | SourceFile],
    *,
    textract_dir: str | Path,
    engine: str,
    workers: int = 1,
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
    pin: bool = False,
    password: str | None = None,
) -> BatchReport:
    """Read documents and store what they hold; one that has a result is not read again.

    A killed batch is resumed by the same call: finished documents are skipped, and of the one that was being read the
    pages that were stored.

    :param documents: which; files of a drop are taken as they are.
    :param textract_dir: root of the results, a path or URI.
    :param engine: ``local`` or ``none``.
    :param workers: documents read at a time, each in a process of its own.
    :param limits: bounds of each document.
    :param on_progress: called after each document, from one thread at a time.
    :param pin: this reading is the one that counts; later batches with another engine leave it.
    :param password: opens documents that need one; with it, those that were rejected for want of it are tried again.
    :raises OcrError: when the engine is not known.
    :raises SetupError: when what it needs is not installed.
    """
    started = time.monotonic()
    batch = _Batch(open_folder(str(textract_dir)), engine, engine_version(engine), on_progress, pin, password)
    every = [one if isinstance(one, DocumentToRead) else DocumentToRead.of(one) for one in documents]
    # Threads of all processes together: as many as there are cores.
    threads = max(1, min(4, (os.cpu_count() or 1) // workers))
    # Closed in this order: the threads first, then the processes they read with.
    with closing(_Workers(engine, limits or Limits(), threads)) as pool, ThreadPoolExecutor(workers) as executor:
        try:
            outcomes = list(executor.map(lambda document: batch.one(document, pool), every))
        except BaseException:
            # Not after the documents in hand: a task that is told to stop has seconds, and what is stored is resumed.
            executor.shutdown(wait=False, cancel_futures=True)
            pool.stop()
            raise
    return _report(outcomes, time.monotonic() - started)


@dataclass
class _Workers:
    """Reading processes that are lent to one thread at a time; their start and their models cost seconds."""

    engine: str
    limits: Limits
    threads: int
    _free: SimpleQueue[Worker] = field(default_factory=SimpleQueue)
    _all: list[Worker] = field(default_factory=list)

    def take(self) -> Worker:
        try:
            return self._free.get_nowait()
        except Empty:
            self._all.append(Worker(self.engine, self.limits, self.threads))
            return self._all[-1]

    def give_back(self, worker: Worker) -> None:
        self._free.put(worker)

    def stop(self) -> None:
        for worker in list(self._all):
            worker.stop()

    def close(self) -> None:
        for worker in self._all:
            worker.close()


@dataclass
class _Batch:
    folder: Folder
    engine: str
    version: str
    on_progress: OnProgress | None
    pin: bool = False
    password: str | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _contents: dict[str, threading.Lock] = field(default_factory=dict)

    def one(self, document: DocumentToRead, pool: _Workers) -> DocumentOutcome:
        outcome = self._known(document) or self._read(document, pool)
        if self.on_progress:
            with self._lock:
                self.on_progress(outcome)
        return outcome

    def _known(self, document: DocumentToRead) -> DocumentOutcome | None:
        pointer = read_pointer(self.folder, document.source_uri, document.source_etag)
        if pointer is None:
            return None
        is_other = (pointer.engine, pointer.engine_version) != (self.engine, self.version)
        if is_other and (self.pin or not pointer.pinned):
            return None
        manifest = read_manifest(self.folder, pointer.result)
        if manifest is None or self._may_open(manifest):
            return None
        return self._outcome(document, REUSED, manifest, pointer.result)

    def _may_open(self, manifest: Manifest) -> bool:
        """Tell whether a document was rejected for want of the password there is now."""
        return self.password is not None and manifest.reason in (ENCRYPTED, WRONG_PASSWORD)

    def _read(self, document: DocumentToRead, pool: _Workers) -> DocumentOutcome:
        with ExitStack() as stack:
            try:
                path = stack.enter_context(local_copy(document.source_uri))
                doc_id = sha256_of(path)
            except OSError:
                return self._outcome(document, UNREADABLE, None, "")
            # The same content under two names must not be read by two threads at once.
            stack.enter_context(self._content(doc_id))
            return self._read_content(document, path, doc_id, pool)

    def _content(self, doc_id: str) -> threading.Lock:
        with self._lock:
            return self._contents.setdefault(doc_id, threading.Lock())

    def _read_content(self, document: DocumentToRead, path: Path, doc_id: str, pool: _Workers) -> DocumentOutcome:
        result = result_folder(doc_id, self.engine, self.version)
        before, how = read_manifest(self.folder, result), REUSED
        manifest = before
        if before is None or self._may_open(before):
            manifest, how = self._fresh(path, doc_id, result, pool), READ
        pointer = Pointer(
            document.source_uri,
            document.source_etag,
            result,
            doc_id,
            self.engine,
            self.version,
            document.dt,
            document.source_system,
            self.pin,
        )
        write_pointer(self.folder, pointer)
        if before is not None and how == READ:
            note_again(self.folder, pointer)
        return self._outcome(document, how, manifest, result)

    def _fresh(self, path: Path, doc_id: str, result: str, pool: _Workers) -> Manifest:
        writer = ResultWriter(self.folder, result)
        worker = pool.take()
        try:
            done = writer.finished_pages()
            found = worker.read(path, doc_id, done=done, on_page=writer.add, password=self.password)
        finally:
            pool.give_back(worker)
        return writer.finish(found)

    def _outcome(self, document: DocumentToRead, how: str, manifest: Manifest | None, result: str) -> DocumentOutcome:
        uri = self.folder.uri(f"{result}/document.json") if manifest else ""
        return DocumentOutcome(document, how, manifest, uri)


def _report(outcomes: list[DocumentOutcome], seconds: float) -> BatchReport:
    report = BatchReport(documents=len(outcomes), seconds=seconds)
    reasons: Counter[str] = Counter()
    for outcome in outcomes:
        report.read += outcome.how == READ
        report.reused += outcome.how == REUSED
        report.unreadable += outcome.how == UNREADABLE
        if outcome.manifest is None:
            continue
        if outcome.manifest.is_rejected:
            reasons[outcome.manifest.reason or ""] += 1
        report.pages_ok += outcome.manifest.count(kinds.OK)
        report.pages_blank += outcome.manifest.count(kinds.BLANK)
        report.pages_failed += outcome.manifest.count(kinds.FAILED)
    report.rejected = dict(sorted(reasons.items()))
    report.manifests = tuple(outcome.uri for outcome in outcomes if outcome.uri)
    return report
