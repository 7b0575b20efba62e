"""What is done when, for all documents of a batch: a window of jobs, a rate of requests, and one thread that decides.

:meth:`Batch.advance` only decides: it takes in what threads have done, gives them what is due, and says when it wants
to be called again. It never waits for the network, so that a triggerer can call it in its event loop. Everything else
is a step of :class:`~airflow_lakehouse.ocr.textract.work.Work` in a thread of the batch's own.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError, JobError
from airflow_lakehouse.ocr.store import READ, REUSED, UNREADABLE
from airflow_lakehouse.ocr.textract import fetching, reasons
from airflow_lakehouse.ocr.textract.errors import Meaning, code_of, meaning_of, reason_of, stopping
from airflow_lakehouse.ocr.textract.ledger import RUNNING, Entry
from airflow_lakehouse.ocr.textract.pacing import backoff
from airflow_lakehouse.ocr.textract.report import COUNTED, FAILED, POSTPONED, Outcome, TextractReport
from airflow_lakehouse.ocr.textract.steps import ADOPT, FINISH, POLL, PREPARE, REJECT, START, Doc, Steps
from airflow_lakehouse.ocr.textract.turns import NEVER, Turns
from airflow_lakehouse.ocr.textract.work import Changed, JobFailed, Prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_lakehouse.ocr.results import Manifest
    from airflow_lakehouse.ocr.store import DocumentToRead
    from airflow_lakehouse.ocr.textract.completion import Hints
    from airflow_lakehouse.ocr.textract.pacing import Pace
    from airflow_lakehouse.ocr.textract.settings import Options
    from airflow_lakehouse.ocr.textract.work import Prepared, Work

_UNREACHABLE_IN_A_ROW: Final = 5
"""Objects that Textract cannot reach one after the other: the role or the Region is wrong, and no document is."""
_CHANGES: Final = 3
_PATIENCE_SECONDS: Final = 900.0
"""Without a single answer for so long, there is nobody to wait for."""
_LONGEST_POLL: Final = 30.0
_LONGEST_THROTTLE: Final = 2.0
_IDLE_SECONDS: Final = 5.0


class Batch:
    """All documents of a batch, from listing to result.

    :param documents: the documents.
    :param work: the steps.
    :param pace: how fast.
    :param report: what becomes of them.
    :param on_outcome: called with what became of each document.
    :param wake: called from threads when there is something to take in.
    :param hints: messages of jobs' ends, if a queue has them.
    """

    def __init__(  # noqa: PLR0913 - the parts it is made of
        self,
        documents: Iterable[DocumentToRead],
        work: Work,
        pace: Pace,
        report: TextractReport,
        *,
        on_outcome: Callable[[Outcome], None] | None = None,
        wake: Callable[[], object] | None = None,
        hints: Hints | None = None,
    ) -> None:
        every = [Doc(document) for document in documents]
        self.report, self.settings = report, work.settings
        self._work, self._pace, self._steps = work, pace, Steps(work)
        self._on_outcome, self._wake, self._hints = on_outcome, wake or (lambda: None), hints
        self._options: Options = work.settings.options
        self._pool = ThreadPoolExecutor(self._options.workers, thread_name_prefix="textract")
        self._futures: dict[Future[Any], Doc] = {}
        self._done: deque[Future[Any]] = deque()
        self._out: Counter[str] = Counter()
        self._turns = Turns(every)
        self._left = len(every)
        self._leaders: dict[str, Doc] = {}
        self._finished: set[str] = set()
        self._in_flight: set[Doc] = set()
        self._start_after, self._refusals, self._unreachable = 0.0, 0, 0
        self._answered_at = time.monotonic()
        self._usual: float | None = None
        self._error: BaseException | None = None
        self._took: dict[str, Callable[[Doc, Any], None]] = {
            PREPARE: self._took_prepare,
            ADOPT: self._took_adopt,
            START: self._took_start,
            POLL: self._took_poll,
            FINISH: self._took_finish,
            REJECT: lambda doc, manifest: self._end(doc, READ, manifest),
        }

    def advance(self) -> float | None:
        """Take in what was done, hand out what is due; return seconds until the next call, or None at the end.

        :raises LakehouseError: when no document will fare better; what was started stays in the ledger.
        """
        while self._done:
            self._take(self._done.popleft())
            if self._error:
                raise self._error
        if not self._left:
            return None
        self._take_hints()
        return self._hand_out()

    def close(self) -> None:
        """Stop the threads; what is under way ends with its present request, and is found again by the next run."""
        self._pace.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._hints:
            self._hints.close()
        self._work.inspector.close()
        self._work.service.close()

    # -- handing out -------------------------------------------------------------------------------------------------

    def _hand_out(self) -> float:
        now = time.monotonic()
        waits = [self._turns.wake(now)]
        self._hand_out_of(REJECT)
        self._hand_out_of(FINISH)
        waits += [self._hand_out_polls(now), self._hand_out_starts(now)]
        self._hand_out_of(ADOPT)
        while self._may_prepare() and self._hand_out_of(PREPARE, 1):
            continue
        return max(0.0, min(*waits, _IDLE_SECONDS))

    def _hand_out_of(self, step: str, most: int = 2**31) -> int:
        # One thread is kept for asking: documents that take long to look at or to fetch must not stop the rest.
        room = self._options.workers - (self._options.workers > 1)
        number = 0
        while number < most and len(self._futures) < room and self._turns.peek(step):
            self._send(self._turns.take(step))
            number += 1
        return number

    def _may_prepare(self) -> bool:
        ahead = self._turns.count(START) + self._out[PREPARE]
        return self._options.dry_run or ahead < self._pace.window.size + self._options.workers

    def _hand_out_polls(self, now: float) -> float:
        while len(self._futures) < self._options.workers:
            wait, doc = self._turns.due_poll(now)
            wait = wait if doc is None else self._pace.get.take()
            if wait:
                return wait
            self._send(self._turns.take_poll())
        return NEVER

    def _hand_out_starts(self, now: float) -> float:
        while len(self._futures) < self._options.workers and (doc := self._turns.peek(START)):
            # One whose start was not answered may run: it has its place already.
            if doc not in self._in_flight and len(self._in_flight) >= self._pace.window.size:
                return NEVER
            wait = max(0.0, self._start_after - now) or self._pace.start.take()
            if wait:
                return wait
            doc.generation = self._pace.window.generation
            self._fly(doc)
            self._send(self._turns.take(START))
        return NEVER

    def _send(self, doc: Doc) -> None:
        doc.is_out = True
        doc.turn += 1
        self._out[doc.step] += 1
        future = self._pool.submit(self._steps.take, doc)
        self._futures[future] = doc
        future.add_done_callback(self._came_back)

    def _came_back(self, future: Future[Any]) -> None:
        self._done.append(future)
        self._wake()

    # -- taking in ---------------------------------------------------------------------------------------------------

    def _take(self, future: Future[Any]) -> None:
        doc = self._futures.pop(future)
        doc.is_out = False
        self._out[doc.step] -= 1
        error = future.exception()
        if error is not None:
            self._took_error(doc, error)
            return
        self._answered_at = time.monotonic()
        doc.failures = 0
        self._took[doc.step](doc, future.result())

    def _took_prepare(self, doc: Doc, prepared: Prepared) -> None:
        doc.prepared, doc.document = prepared, prepared.document
        self.report.changed += prepared.changed
        if not prepared.doc_id:
            self._end(doc, UNREADABLE)
        elif prepared.manifest:
            self._end(doc, REUSED if prepared.is_reused else READ, prepared.manifest)
        elif prepared.result in self._finished:
            # Its content was read while it was looked at.
            self._turns.put(doc, ADOPT)
        else:
            self._took_adopt(doc, None)

    def _took_adopt(self, doc: Doc, manifest: Manifest | None) -> None:
        leader = self._leaders.get(doc.known.result)
        if manifest:
            self._end(doc, REUSED, manifest)
        elif leader and self._options.dry_run:
            self._end(doc, REUSED)
        elif leader:
            leader.followers.append(doc)
        else:
            self._lead(doc)

    def _lead(self, doc: Doc) -> None:
        """Let a document be the one of its content that a job is started for, if the limit of pages allows it."""
        self._leaders[doc.known.result] = doc
        if self._options.dry_run:
            self._end(doc, COUNTED)
        elif self._fits(doc):
            self._turns.put(doc, START)

    def _fits(self, doc: Doc) -> bool:
        """Tell whether the limit of pages allows a job for a document, and keep room for it; else it is postponed."""
        limit, doc.reserved = self._options.max_pages, 0
        spent = self.report.pages_paid + sum(other.reserved for other in self._leaders.values())
        if limit is not None and spent + doc.known.pages > limit:
            self._end(doc, POSTPONED)  # its copy stays for the run that reads it
            return False
        doc.reserved = doc.known.pages
        return True

    def _took_start(self, doc: Doc, started: tuple[Entry, bool]) -> None:
        doc.entry, is_ours = started
        self._refusals = self._unreachable = 0
        self._pace.start.succeeded()
        if doc.entry.state != RUNNING:
            # Another process has written meanwhile: what it has started, this one finds.
            self._again(doc, START, 0.1)
            return
        if is_ours:
            doc.jobs += 1
            self.report.jobs += 1
            self.report.pages_paid += doc.known.pages
        doc.reserved, doc.submitted = 0, time.monotonic()
        first = self._options.poll_seconds if self._usual is None else 0.9 * self._usual
        self._again(doc, POLL, first if is_ours else 0.0)

    def _took_poll(self, doc: Doc, response: dict[str, Any]) -> None:
        self._pace.get.succeeded()
        taken = time.monotonic() - doc.submitted
        if response.get("JobStatus") == fetching.IN_PROGRESS:
            # In proportion to what the job has taken: one of a page and one of 3,000 are asked alike.
            self._again(doc, POLL, min(_LONGEST_POLL, max(self._options.poll_seconds, 0.05 * taken)))
            return
        self._usual = taken if self._usual is None else 0.8 * self._usual + 0.2 * taken
        doc.response = response
        self._land(doc)
        self._pace.window.succeeded()
        self._turns.put(doc, FINISH)

    def _took_finish(self, doc: Doc, found: Manifest | Entry) -> None:
        if not isinstance(found, Entry):
            self._end(doc, READ, found)
        elif self._fits(doc):
            self._again(doc, START, 0.0)

    # -- errors ------------------------------------------------------------------------------------------------------

    def _took_error(self, doc: Doc, error: BaseException) -> None:
        if isinstance(error, JobFailed):
            if doc.jobs >= self._options.job_attempts:
                self._refuse(doc, reasons.JOB_FAILED)
            elif self._fits(doc):
                self._again(doc, START, backoff(1))
        elif isinstance(error, Changed):
            self._after_change(doc)
        elif isinstance(error, Exception) and (meaning := meaning_of(error)):
            self._after(doc, meaning, error)
        else:
            self._error = error

    def _after(self, doc: Doc, meaning: Meaning, error: Exception) -> None:
        if meaning is Meaning.WINDOW_FULL and doc.step == START:
            self._after_refusal(doc)
        elif meaning in (Meaning.THROTTLED, Meaning.TRANSIENT, Meaning.WINDOW_FULL):
            self._after_pause(doc, meaning, error)
        elif meaning is Meaning.EXPIRED and doc.step in (POLL, FINISH):
            self._land(doc)
            doc.response = None
            self._turns.put(doc, FINISH)
        elif meaning is Meaning.DOCUMENT:
            self._refuse(doc, reason_of(error))
        elif meaning is Meaning.LOCATION and doc.step == START:
            self._after_unreachable(doc)
        else:
            self._error = stopping(error)

    def _after_refusal(self, doc: Doc) -> None:
        """Start fewer, and this document again before all others."""
        self._land(doc)
        self._pace.window.refused(doc.generation, len(self._in_flight))
        self._refusals += 1
        # With jobs of ours in flight, the next room is where one of them ends; else somebody else has them all.
        self._start_after = time.monotonic() + backoff(min(self._refusals, 2) if self._in_flight else self._refusals)
        self._answered_at = time.monotonic()
        self._turns.put(doc, START, first=True)

    def _after_pause(self, doc: Doc, meaning: Meaning, error: Exception) -> None:
        if time.monotonic() - self._answered_at > _PATIENCE_SECONDS:
            self._error = JobError(
                f"nothing was answered for {_PATIENCE_SECONDS:.0f} s ({code_of(error)})",
                remedy="run it again once the service answers; what was started is found",
            )
            return
        if meaning is Meaning.THROTTLED:
            (self._pace.start if doc.step == START else self._pace.get).throttled()
            if doc.step == START:
                self._land(doc)
        doc.failures += 1
        # Throttled requests have a rate of their own that has just been halved; what is down is given more time.
        self._again(doc, doc.step, backoff(doc.failures, _LONGEST_THROTTLE if meaning is Meaning.THROTTLED else 30.0))

    def _after_change(self, doc: Doc) -> None:
        doc.changes += 1
        self._land(doc)
        if doc.changes > _CHANGES:
            self._end(doc, FAILED, reason=reasons.OVERWRITTEN)
            return
        self._release(doc)
        doc.prepared, doc.entry, doc.response, doc.reserved = None, None, None, 0
        self._again(doc, PREPARE, 0.0)

    def _after_unreachable(self, doc: Doc) -> None:
        self._unreachable += 1
        if self._unreachable < _UNREACHABLE_IN_A_ROW:
            self._refuse(doc, reasons.INVALID_OBJECT)
            return
        self._error = ConfigurationError(
            f"Textract cannot reach {self._unreachable} objects, one after the other",
            remedy="let the role read the bucket and its key, and use the Region of the bucket",
        )

    def _refuse(self, doc: Doc, reason: str) -> None:
        self._land(doc)
        doc.reason = reason
        self._turns.put(doc, REJECT)

    # -- the way of a document ---------------------------------------------------------------------------------------

    def _again(self, doc: Doc, step: str, wait: float) -> None:
        """Let a document take a step after a wait, unless it has taken too long already."""
        now = time.monotonic()
        doc.began = doc.began or now
        if now + wait - doc.began > self._options.document_seconds:
            self._end(doc, FAILED, reason=reasons.TIMEOUT)
        else:
            self._turns.put_later(doc, step, wait)

    def _take_hints(self) -> None:
        if not self._hints:
            return
        waiting = {doc.entry.job_id: doc for doc in self._in_flight if doc.entry and doc.step == POLL}
        for job in self._hints.take(waiting):
            doc = waiting.get(job)
            if doc and not doc.is_out:
                self._again(doc, POLL, 0.0)

    def _fly(self, doc: Doc) -> None:
        doc.began = doc.began or time.monotonic()
        self._in_flight.add(doc)
        self.report.most_in_flight = max(self.report.most_in_flight, len(self._in_flight))

    def _land(self, doc: Doc) -> None:
        self._in_flight.discard(doc)

    def _end(self, doc: Doc, how: str, manifest: Manifest | None = None, reason: str = "") -> None:
        self._land(doc)
        doc.response = None
        self._left -= 1
        if manifest:
            self._finished.add(doc.known.result)
        uri = self._work.uri_of(doc.known, manifest) if manifest else ""
        pages = doc.prepared.pages if doc.prepared and not manifest else 0
        outcome = Outcome(doc.document, how, manifest, uri, reason, doc.entry, pages)
        self.report.documents.append(outcome)
        if self._on_outcome:
            self._on_outcome(outcome)
        self._release(doc)

    def _release(self, doc: Doc) -> None:
        """Let the other documents of the same content go on: to its result, or to a job of their own."""
        result = doc.prepared.result if doc.prepared else ""
        if self._leaders.get(result) is not doc or self._options.dry_run:
            return
        del self._leaders[result]
        while doc.followers:
            self._turns.put(doc.followers.pop(0), ADOPT)
