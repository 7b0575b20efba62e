"""What people have decided about pages that an engine was not sure of.

::

    <textract>/reviews/<sha256 of the document>.json      page to decision

A decision holds for the result it was made about: a page that is read anew is to be looked at anew. Names of people and
times are kept; nothing of the page's text is.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import OcrError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_lakehouse.ocr.folder import Folder

APPROVED: Final = "approved"
"""The page was read well enough: it counts as good."""
REJECTED: Final = "rejected"
"""What was read is wrong: silver has no block of the page."""
REREAD: Final = "reread"
"""Another engine is to read the document."""
DECISIONS: Final = (APPROVED, REJECTED, REREAD)

_FOLDER: Final = "reviews"


@dataclass(frozen=True, slots=True)
class Review:
    """One decision.

    :param page: 1-based.
    :param decision: ``approved``, ``rejected`` or ``reread``.
    :param engine_version: of the reading it is about.
    :param by: who decided.
    :param at: when, ISO 8601.
    """

    page: int
    decision: str
    engine_version: str
    by: str = ""
    at: str = ""

    def __post_init__(self) -> None:
        if self.decision not in DECISIONS:
            raise OcrError(f"a review says {self.decision!r}", legal=", ".join(DECISIONS))


def read_reviews(folder: Folder, doc_id: str) -> dict[int, Review]:
    """Return the decisions about a document, by page.

    :param folder: the root of the results.
    :param doc_id: hex sha256 of its content.
    """
    data = folder.read(f"{_FOLDER}/{doc_id}.json")
    return {review["page"]: Review(**review) for review in json.loads(data)} if data else {}


def write_reviews(folder: Folder, doc_id: str, reviews: Iterable[Review]) -> None:
    """Store decisions about a document, beside those about its other pages.

    :param folder: the root of the results.
    :param doc_id: hex sha256 of its content.
    :param reviews: the decisions.
    """
    held = read_reviews(folder, doc_id) | {review.page: review for review in reviews}
    told = [asdict(held[page]) for page in sorted(held)]
    folder.write(f"{_FOLDER}/{doc_id}.json", json.dumps(told).encode())
