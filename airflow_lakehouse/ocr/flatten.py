"""Amazon Textract's responses to pages of blocks: once over each block, whatever shape it has.

::

    for read in pages_of(responses, Origin(doc_sha256, job_id=job_id)):
        writer.add(read)

``responses`` are dicts as ``GetDocumentAnalysis`` and its like return them, one after the other; objects of
``OutputConfig`` with their null fields, and synchronous responses, which name no page, are read alike. Every page the
document has comes out exactly once, in order, whether the service had anything to say of it or not.

What is made of the service's blocks: identifiers are replaced by ones that stay; lines are put in the order a person
reads them in, columns one after the other; coordinates are those of the upright page; a word belongs to its line first
and to cells, keys and values besides (:attr:`~airflow_lakehouse.ocr.blocks.Block.parent_ids`), so that text is not
counted twice; cells, keys, values and titles say their text; a value says its key, an answer its question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from airflow_lakehouse.exceptions import OcrError
from airflow_lakehouse.ocr import blocks as kinds
from airflow_lakehouse.ocr.blocks import BlockNames, PageRead, PageResult
from airflow_lakehouse.ocr.flatten_page import UNKNOWN, Page, flatten_page

Response = Mapping[str, Any]

PAGE_MISSING: Final = "PAGE_MISSING"
"""The results of the service hold no block of the page, and no warning that says why."""
NO_TEXT_FOUND: Final = "NO_TEXT_FOUND"

SERVICE: Final = "READ_BY_SERVICE"
"""The document was given to a service, which looks at the image of a page alone."""

_HELD_BLOCKS: Final = 10_000
"""Blocks of pages that may still grow; about twenty megabytes as dicts, ten dense pages or more."""
_MOST_PAGES: Final = 100_000
"""The service takes 3,000."""
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """What responses are about.

    :param doc_sha256: hex sha256 of the document.
    :param engine: stored with every block.
    :param engine_version: the same; by default the version of the model, as the responses say.
    :param job_id: the service's job.
    :param pages: pages the document has, where that is known beforehand; a page more is believed to the service.
    :param sizes: width and height of the displayed pages, points, as far as they are known.
    """

    doc_sha256: str
    engine: str = "textract"
    engine_version: str = ""
    job_id: str | None = None
    pages: int = 0
    sizes: Sequence[tuple[float, float]] = ()


def pages_of(responses: Iterable[Response], origin: Origin) -> Iterator[PageRead]:
    """Yield every page of a document, in order.

    :param responses: of one job, in the order of their tokens; a response that comes twice counts once.
    :param origin: what they are about.
    :raises OcrError: when blocks of a page come after ten thousand blocks of later pages, which Textract never does.
    """
    held = _Held()
    warned: dict[int, str] = {}
    expected, version, done = origin.pages, origin.engine_version, 0
    for response in responses:
        expected = max(expected, page_count(response))
        version = version or model_version(response)
        _warn(response, warned)
        held.add(response.get("Blocks") or ())
        while held.count > _HELD_BLOCKS and len(held.pages) > 1:
            upto = min(held.pages)
            for number in range(done + 1, upto + 1):
                yield _page(number, held.take(number), origin, version, warned)
            done = upto
    for number in range(done + 1, max(expected, max(held.pages, default=0)) + 1):
        yield _page(number, held.take(number), origin, version, warned)


def page_count(response: Response) -> int:
    """Return how many pages a response counts; 0 where it does not say.

    :param response: of Textract, or of a stand-in: moto nests the number once more.
    :raises OcrError: when it counts more pages than a document can have.
    """
    pages: Any = response.get("DocumentMetadata")
    while isinstance(pages, Mapping):
        pages = pages.get("Pages")
    return _checked(pages if isinstance(pages, int) else 0)


def _checked(page: int) -> int:
    """Return a number of a page, which must be one a document can have: each becomes a row."""
    if not 0 <= page <= _MOST_PAGES:
        raise OcrError(f"the results speak of page {page}", legal=f"1 to {_MOST_PAGES}")
    return page


def model_version(response: Response) -> str:
    """Return the version of the model that gave a response; empty where it does not say.

    :param response: of Textract.
    """
    return next((str(value) for name, value in response.items() if name.endswith("ModelVersion") and value), "")


@dataclass
class _Held:
    """Pages, until no more blocks of them are to come."""

    pages: dict[int, Page] = field(default_factory=dict)
    count: int = 0
    taken: int = 0
    current: int = 0

    def add(self, found: Iterable[Response]) -> None:
        number = self.current
        page = self.pages.get(number) or Page()
        for block in found:
            if not block:
                continue
            get = block.get
            kind = get("BlockType") or UNKNOWN
            # Synchronous responses name no page; where they have several, each begins with its PAGE.
            named = get("Page") or (number + 1 if kind == kinds.PAGE or not number else number)
            if named != number:
                number, page = named, self._page(named)
            by_id = page.by_id
            name = get("Id") or f"#{len(by_id)}"
            if name in by_id:
                continue
            by_id[name] = block
            page.by_kind[kind].append(name)
            if get("Relationships"):
                page.related[kind].append(name)
            self.count += 1
        self.current = number

    def _page(self, number: int) -> Page:
        if _checked(number) <= self.taken:
            raise OcrError(
                f"a block of page {number} came after the pages up to {self.taken} were complete",
                remedy="read the document's results again from their first token",
            )
        return self.pages.setdefault(number, Page())

    def take(self, number: int) -> Page | None:
        """Return a page, of which no more may come; None where it has no block."""
        page = self.pages.pop(number, None)
        self.count -= len(page.by_id) if page else 0
        self.taken = number
        return page


def _warn(response: Response, warned: dict[int, str]) -> None:
    for warning in response.get("Warnings") or ():
        code = _HUMP.sub("_", str(warning.get("ErrorCode") or PAGE_MISSING)).strip("_").upper()
        for page in warning.get("Pages") or ():
            warned.setdefault(int(page), code)


def _failed(result: PageResult, reason: str) -> PageRead:
    return PageRead(replace(result, status=kinds.FAILED, reason=reason, method=None, method_reason=None))


def _page(number: int, found: Page | None, origin: Origin, version: str, warned: Mapping[int, str]) -> PageRead:
    size = origin.sizes[number - 1] if number <= len(origin.sizes) else (None, None)
    result = PageResult(
        number,
        kinds.OK,
        method=kinds.OCR,
        method_reason=SERVICE,
        width_pt=size[0],
        height_pt=size[1],
        engine=origin.engine,
        engine_version=version or "unknown",
        job_id=origin.job_id,
    )
    if found is None:
        return _failed(result, warned.get(number, PAGE_MISSING))
    flat = flatten_page(found, BlockNames(origin.doc_sha256, origin.engine, number), number)
    if flat.rotation in (90, 270):
        result = replace(result, width_pt=size[1], height_pt=size[0])
    # A question is on every page, whether the page says anything or not.
    is_blank = all(block.block_type in (kinds.PAGE, kinds.QUERY) for block in flat.blocks)
    if is_blank and number in warned:
        return _failed(result, warned[number])
    result = replace(
        result,
        status=kinds.BLANK if is_blank else kinds.OK,
        reason=NO_TEXT_FOUND if is_blank else None,
        rotation=flat.rotation,
        n_blocks=len(flat.blocks),
        mean_confidence=flat.mean_confidence,
    )
    return PageRead(result, flat.blocks)
