"""The documents parser: what an engine has read from a PDF, as bronze rows.

Reading pages and loading rows are two steps. The first (:mod:`airflow_lakehouse.ocr.store`, or Textract) costs
minutes or money and stores its result under the drop's OCR root; this parser only looks the result up and lays it
out, so that a load can be repeated as often as anyone likes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final

from airflow_lakehouse.ocr.blocks import FAILED, PageResult
from airflow_lakehouse.ocr.flatten import PAGE_MISSING
from airflow_lakehouse.ocr.folder import Folder, open_folder
from airflow_lakehouse.ocr.results import Manifest, Pointer, read_blocks, read_manifest, read_pointer
from airflow_lakehouse.ocr.reviews import REREAD, read_reviews
from airflow_lakehouse.ocr.store import is_document
from airflow_lakehouse.ocr.tables import TableChain
from airflow_lakehouse.parsing.hookspecs import hookimpl
from airflow_lakehouse.parsing.model import Rejected, Row
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_lakehouse.ocr.blocks import Block
    from airflow_lakehouse.ocr.reviews import Review
    from airflow_lakehouse.parsing.model import Parser, SourceFile
    from airflow_lakehouse.tables import Table

NOT_READ: Final = "NOT_READ"
"""No engine has read the document yet; the OCR stage comes first."""
_KEPT_BYTES: Final = 2**20


class DocumentsParser:
    """PDFs, as blocks and pages."""

    name = "documents"
    version = "2"
    tables: tuple[Table, ...] = (bronze.DOCS_TEXT, bronze.DOCS_PAGES)

    def claims(self, file: SourceFile, head: bytes) -> bool:
        """Claim PDFs; and files that are named like one, so that a broken one is rejected for what it is."""
        return is_document(file.uri, head)

    def is_ready(self, file: SourceFile) -> bool:
        """Tell whether an engine has read the document, so that loading it now gives its rows.

        :param file: the document.
        """
        return _result(file) is not None

    def parse(self, file: SourceFile, stream: BinaryIO) -> Iterator[Row | Rejected]:
        """Yield one row a page and one a block, or one reject for a document that could not be read.

        :param file: the document; names the root of the results.
        :param stream: its bytes, kept with a reject where they are few.
        """
        found = _result(file)
        if found is None:
            yield Rejected(0, NOT_READ, "no OCR result; read the documents of the drop first")
            return
        folder, pointer, manifest = found
        if manifest.is_rejected:
            raw = stream.read() if file.size <= _KEPT_BYTES else None
            yield Rejected(0, manifest.reason or "", manifest.detail, raw)
            return
        reviews = read_reviews(folder, manifest.doc_id)
        tables = TableChain()
        for page in _every_page(manifest):
            review = _review(reviews.get(page.page), page)
            yield Row(bronze.DOCS_PAGES.name, page.page, _page(manifest, page) | review)
            said = review[bronze.REVIEW.name]
            for block in tables.link(read_blocks(folder, pointer.result, page)):
                values = _block(manifest, page, block) | {bronze.REVIEW.name: said}
                yield Row(bronze.DOCS_TEXT.name, page.page, values)


def _result(file: SourceFile) -> tuple[Folder, Pointer, Manifest] | None:
    if not file.textract:
        return None
    folder = open_folder(file.textract)
    pointer = read_pointer(folder, file.uri, file.etag)
    manifest = read_manifest(folder, pointer.result) if pointer else None
    return (folder, pointer, manifest) if pointer and manifest else None


def _every_page(manifest: Manifest) -> Iterator[PageResult]:
    """Yield every page the document has: one the result does not speak of has failed, and is not forgotten."""
    found = {page.page: page for page in manifest.results}
    for number in range(1, max(manifest.pages, *found, 0) + 1):
        yield found.get(number) or PageResult(number, FAILED, PAGE_MISSING)


def _review(review: Review | None, page: PageResult) -> dict[str, Any]:
    holds = review is not None and review.decision != REREAD and review.engine_version == page.engine_version
    if review is None or not holds:
        return {bronze.REVIEW.name: None, "reviewed_by": None, "reviewed_at": None}
    return {bronze.REVIEW.name: review.decision, "reviewed_by": review.by or None, "reviewed_at": review.at or None}


def _page(manifest: Manifest, page: PageResult) -> dict[str, Any]:
    return {
        "doc_id": manifest.doc_id,
        "page": page.page,
        "pages_in_document": max(manifest.pages, *(one.page for one in manifest.results), 0),
        "status": page.status,
        "reason": page.reason,
        "method": page.method,
        "method_reason": page.method_reason,
        "blocks": page.n_blocks,
        "mean_confidence": page.mean_confidence,
        "page_width_pt": page.width_pt,
        "page_height_pt": page.height_pt,
        "rotation": page.rotation,
        "engine": page.engine,
        "engine_version": page.engine_version,
        "seconds": page.seconds,
        "job_id": page.job_id,
    }


def _block(manifest: Manifest, page: PageResult, block: Block) -> dict[str, Any]:
    return {
        "doc_id": manifest.doc_id,
        "page": block.page,
        "block_id": block.id,
        "block_type": block.block_type,
        "reading_order": block.reading_order,
        "text": block.text,
        "confidence": block.confidence,
        "confidence_source": block.confidence_source,
        "left": block.left,
        "top": block.top,
        "width": block.width,
        "height": block.height,
        "polygon": list(block.polygon) or None,
        "parent_id": block.parent_id,
        "row_index": block.row_index,
        "column_index": block.column_index,
        "row_span": block.row_span,
        "column_span": block.column_span,
        "engine": page.engine or manifest.engine,
        "engine_version": page.engine_version or manifest.engine_version,
        "job_id": page.job_id,
        "parent_ids": list(block.parent_ids),
        "entity_types": list(block.entity_types),
        "text_type": block.text_type,
        "selection_status": block.selection_status,
        "key_text": block.key_text,
        "key_alias": block.key_alias,
        "continues_id": block.continues_id,
    }


@hookimpl
def lakehouse_parsers() -> Sequence[Parser]:
    """Return the documents parser."""
    return (DocumentsParser(),)
