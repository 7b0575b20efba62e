"""One document on its way, and the step it takes next, in a thread."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.ocr.textract.ledger import RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.ocr.results import Manifest
    from airflow_lakehouse.ocr.store import DocumentToRead
    from airflow_lakehouse.ocr.textract.ledger import Entry
    from airflow_lakehouse.ocr.textract.work import Prepared, Work

PREPARE: Final = "prepare"
"""Look at it."""
ADOPT: Final = "adopt"
"""Take the result of another document of the same content."""
START: Final = "start"
"""Start its job, or find it."""
POLL: Final = "poll"
"""Ask whether its job has ended."""
FINISH: Final = "finish"
"""Store what its job has found."""
REJECT: Final = "reject"
"""Store that it cannot be read."""


@dataclass(eq=False)
class Doc:
    """One document on its way.

    :param document: as it was listed; once it was looked at, with the version that was read.
    :param step: what is done with it next, or now.
    :param prepared: what is known of it.
    :param entry: its job.
    :param response: the first response of its job, once that has ended.
    :param reason: why it is rejected.
    :param jobs: jobs of this run for it.
    :param changes: times it was overwritten.
    :param failures: steps in a row that failed for a reason that passes.
    :param began: monotonic time of its first step towards a job; 0 before.
    :param submitted: monotonic time at which its job was started or found.
    :param generation: the window's, when its start was sent.
    :param reserved: pages that it will have to be paid for.
    :param is_out: a thread has it.
    :param turn: number of its place in the queue; older places are void.
    :param followers: documents of the same content, which wait for its result.
    """

    document: DocumentToRead
    step: str = PREPARE
    prepared: Prepared | None = None
    entry: Entry | None = None
    response: dict[str, Any] | None = None
    reason: str = ""
    jobs: int = 0
    changes: int = 0
    failures: int = 0
    began: float = 0.0
    submitted: float = 0.0
    generation: int = 0
    reserved: int = 0
    is_out: bool = False
    turn: int = 0
    followers: list[Doc] = field(default_factory=list)

    @property
    def known(self) -> Prepared:
        """What is known of it; there is something after the first step."""
        assert self.prepared is not None
        return self.prepared


class Steps:
    """What each step does.

    :param work: for one document.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._steps: dict[str, Callable[[Doc], Any]] = {
            PREPARE: self._prepare,
            ADOPT: self._adopt,
            START: self._start,
            POLL: self._poll,
            FINISH: self._finish,
            REJECT: self._reject,
        }

    def take(self, doc: Doc) -> Any:
        """Take a document's next step, and return what came of it.

        :param doc: the document.
        """
        return self._steps[doc.step](doc)

    def _prepare(self, doc: Doc) -> Prepared:
        prepared = self._work.prepare(doc.document)
        if prepared.manifest and not prepared.is_pointed and not self._work.settings.options.dry_run:
            self._work.point(prepared)
        return prepared

    def _adopt(self, doc: Doc) -> Manifest | None:
        manifest = self._work.current(doc.known)
        if manifest:
            self._work.point(doc.known)
        return manifest

    def _start(self, doc: Doc) -> tuple[Entry, bool]:
        """Return the entry of the job, and whether it was this that started it."""
        entry = self._work.claim(doc.known)
        if entry.state == RUNNING:
            return entry, False
        return self._work.start(doc.known, entry), True

    def _poll(self, doc: Doc) -> dict[str, Any]:
        assert doc.entry
        return self._work.poll(doc.entry)

    def _finish(self, doc: Doc) -> Manifest | Entry:
        """Return the result; or the entry with which the job is started again, where nothing is left of it."""
        assert doc.entry
        if doc.response is None:
            manifest, entry = self._work.expire(doc.known, doc.entry)
            if manifest is None:
                return entry
        else:
            manifest = self._work.finish(doc.known, doc.entry, doc.response)
        self._work.point(doc.known)
        return manifest

    def _reject(self, doc: Doc) -> Manifest:
        manifest = self._work.reject(doc.known, doc.reason)
        self._work.point(replace(doc.known, result=self._work.folder_of(doc.known, doc.reason)))
        return manifest
