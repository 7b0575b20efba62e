"""What became of a batch: counts for XCom, and a line a document for whoever looks closer. No text of any document."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.ocr import blocks as kinds
from airflow_lakehouse.ocr.store import READ, REUSED, UNREADABLE
from airflow_lakehouse.ocr.textract.reasons import TRIED_AGAIN

if TYPE_CHECKING:
    from airflow_lakehouse.ocr.results import Manifest
    from airflow_lakehouse.ocr.store import DocumentToRead
    from airflow_lakehouse.ocr.textract.ledger import Entry

FAILED: Final = "failed"
POSTPONED: Final = "postponed"
COUNTED: Final = "counted"
OUTCOMES: Final = {
    READ: "read now",
    REUSED: "had a result already",
    UNREADABLE: "could not be opened; no result",
    FAILED: "could not be read in this run; the next one tries again",
    POSTPONED: "left for the next run by the limit of pages",
    COUNTED: "counted by a dry run",
}
"""Everything that can become of a document, each of exactly one kind."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one document.

    :param document: the document, with the version that was read.
    :param how: of :data:`OUTCOMES`.
    :param manifest: its result, if it has one.
    :param uri: URI of the manifest.
    :param reason: code, where it failed.
    :param entry: its job, if it has one.
    :param pages: how many it was found to have.
    """

    document: DocumentToRead
    how: str
    manifest: Manifest | None = None
    uri: str = ""
    reason: str = ""
    entry: Entry | None = None
    pages: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the document's line of the report."""
        manifest = self.manifest
        pages = manifest.results if manifest else ()
        return {
            "source_uri": self.document.source_uri,
            "source_etag": self.document.source_etag,
            "outcome": self.how,
            "reason": self.reason or (manifest.reason if manifest else None),
            "pages_expected": manifest.pages if manifest else self.pages,
            **{f"pages_{status}": manifest.count(status) if manifest else 0 for status in kinds.STATUSES},
            "pages_with_blocks": sum(page.n_blocks > 0 for page in pages),
            "reasons": sorted({page.reason for page in pages if page.reason}),
            "model_version": next((page.engine_version for page in pages), None),
            "job_id": self.entry.job_id if self.entry else next((page.job_id for page in pages), None),
            "token": self.entry.token if self.entry else None,
            "attempt": self.entry.salt + 1 if self.entry else None,
            "manifest": self.uri,
        }


@dataclass
class TextractReport:
    """What became of a batch.

    :param documents: one a document, in the order in which they ended.
    :param jobs: jobs that were started by this run, or found by the token of one that died.
    :param pages_paid: pages of those jobs.
    :param changed: documents that were overwritten after they had been listed.
    :param price: US dollars a page.
    :param most_in_flight: most jobs that ran at once.
    :param seconds: time it took.
    """

    documents: list[Outcome] = field(default_factory=list)
    jobs: int = 0
    pages_paid: int = 0
    changed: int = 0
    price: float = 0.0
    most_in_flight: int = 0
    seconds: float = 0.0

    def counts(self) -> dict[str, Any]:
        """Return the counts alone, small enough for XCom.

        ``documents`` is the sum of the outcomes (``read``, ``reused``, ``unreadable``, ``failed``, ``postponed``,
        ``counted``); ``estimated_usd`` is for ``pages_paid``, and in a dry run for what was counted.
        """
        hows = Counter(one.how for one in self.documents)
        results = [one.manifest for one in self.documents if one.manifest]
        reasons = Counter(result.reason or "" for result in results if result.is_rejected)
        reasons.update(one.reason for one in self.documents if one.how == FAILED)
        pages = self.pages_paid + sum(one.pages for one in self.documents if one.how == COUNTED)
        return {
            "documents": len(self.documents),
            **{how: hows[how] for how in OUTCOMES},
            **{f"pages_{status}": sum(result.count(status) for result in results) for status in kinds.STATUSES},
            "pages_to_pay": pages,
            "estimated_usd": round(pages * self.price, 4),
            "jobs": self.jobs,
            "changed": self.changed,
            "rejected": dict(sorted(reasons.items())),
            "seconds": round(self.seconds, 3),
        }

    @property
    def failed_fraction(self) -> float:
        """Share of documents that could not be read in this run: failed, and those whose jobs all did."""
        failed = sum(
            one.how in (FAILED, UNREADABLE) or bool(one.manifest and one.manifest.reason in TRIED_AGAIN)
            for one in self.documents
        )
        return failed / len(self.documents) if self.documents else 0.0
