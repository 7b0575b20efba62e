"""What a page becomes: blocks as Amazon Textract shapes them, and one result a page."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

PAGE: Final = "PAGE"
LINE: Final = "LINE"
WORD: Final = "WORD"
TABLE: Final = "TABLE"
CELL: Final = "CELL"
MERGED_CELL: Final = "MERGED_CELL"
KEY_VALUE_SET: Final = "KEY_VALUE_SET"
SELECTION_ELEMENT: Final = "SELECTION_ELEMENT"
QUERY: Final = "QUERY"

KEY: Final = "KEY"
VALUE: Final = "VALUE"
"""Entity types of key-value sets."""
SELECTED: Final = "SELECTED"
NOT_SELECTED: Final = "NOT_SELECTED"

OK: Final = "ok"
BLANK: Final = "blank"
FAILED: Final = "failed"
STATUSES: Final = (OK, BLANK, FAILED)

TEXT_LAYER: Final = "text_layer"
OCR: Final = "ocr"


class Block(NamedTuple):
    """One block of a page. Coordinates are 0 to 1 of the upright page, from its top left corner.

    :param id: the same for the same document, engine, page, type and place, so that reading again gives the same.
    :param block_type: ``PAGE``, ``LINE``, ``WORD`` and Textract's other types; one that is not known passes through.
    :param page: 1-based.
    :param text: text of the block; of a cell, key or value, that of its words; None for a page.
    :param confidence: 0 to 100; None for a page.
    :param confidence_source: ``text_layer``, ``ocr`` or ``textract``.
    :param left: left edge; None, as the other coordinates, where the block has no place, as a question has none.
    :param top: top edge.
    :param width: width of the bounding box.
    :param height: height of the bounding box.
    :param polygon: x1, y1, x2, y2, ... beginning at the text's own top left.
    :param parent_id: block this one lies in: of a word its line, of a cell its table, of a value its key.
    :param reading_order: 1-based, counted within the block type; None for a page.
    :param row_index: 1-based table row.
    :param column_index: 1-based table column.
    :param row_span: rows a cell covers.
    :param column_span: columns a cell covers.
    :param parent_ids: every block this one lies in or belongs to, :attr:`parent_id` first; a word in a table has its
        line, its cell and perhaps a value.
    :param entity_types: what a cell, table or key-value set is: ``KEY``, ``VALUE``, ``COLUMN_HEADER`` ...
    :param text_type: ``PRINTED`` or ``HANDWRITING``.
    :param selection_status: ``SELECTED`` or ``NOT_SELECTED``, of a box to tick and what it is the value of.
    :param key_text: key of a value, question of an answer.
    :param key_alias: alias of the question.
    :param continues_id: table of the page before, of which this table is the rest.
    """

    id: str
    block_type: str
    page: int
    text: str | None = None
    confidence: float | None = None
    confidence_source: str | None = None
    left: float | None = 0.0
    top: float | None = 0.0
    width: float | None = 1.0
    height: float | None = 1.0
    polygon: tuple[float, ...] = (0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0)
    parent_id: str | None = None
    reading_order: int | None = None
    row_index: int | None = None
    column_index: int | None = None
    row_span: int | None = None
    column_span: int | None = None
    parent_ids: tuple[str, ...] = ()
    entity_types: tuple[str, ...] = ()
    text_type: str | None = None
    selection_status: str | None = None
    key_text: str | None = None
    key_alias: str | None = None
    continues_id: str | None = None


@dataclass(frozen=True, slots=True)
class PageResult:
    """What became of one page.

    :param page: 1-based.
    :param status: ``ok``, ``blank`` or ``failed``.
    :param reason: UPPER_SNAKE code, for a page that is blank or failed.
    :param method: ``text_layer`` or ``ocr``; None where the page failed before one was chosen.
    :param method_reason: UPPER_SNAKE code: why that method.
    :param width_pt: width of the upright page, points.
    :param height_pt: height of the upright page, points.
    :param rotation: degrees, clockwise, by which the displayed page was turned to be read: 0, 90, 180 or 270.
    :param n_blocks: blocks on the page.
    :param mean_confidence: mean over the words, 0 to 100.
    :param engine: what read the page.
    :param engine_version: its version.
    :param seconds: time it took.
    :param job_id: job of the service that read it; None for local engines.
    """

    page: int
    status: str
    reason: str | None = None
    method: str | None = None
    method_reason: str | None = None
    width_pt: float | None = None
    height_pt: float | None = None
    rotation: int | None = None
    n_blocks: int = 0
    mean_confidence: float | None = None
    engine: str | None = None
    engine_version: str | None = None
    seconds: float | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class PageRead:
    """A page's result with its blocks.

    :param result: what became of it.
    :param blocks: PAGE first, then lines, then words, each in reading order; empty for a failed page.
    """

    result: PageResult
    blocks: tuple[Block, ...] = ()


@lru_cache(maxsize=1024)
def _ordinals(number: int) -> list[str]:
    return [f"{ordinal:012x}" for ordinal in range(1, number + 1)]


class BlockNames:
    """Identifiers of the blocks of one page.

    Textract's own are random: a second reading would add every row again. These are UUIDs of version 8 (RFC 9562, 5.8):
    a hash of document, engine, page and type, and in the last twelve digits the place among the blocks of that type.

    :param doc_sha256: hex sha256 of the document.
    :param engine: what read the page.
    :param page: 1-based page.
    """

    def __init__(self, doc_sha256: str, engine: str, page: int) -> None:
        self._page = f"{doc_sha256}/{engine}/{page}/"
        self._kinds: dict[str, str] = {}

    def of(self, block_type: str, ordinal: int) -> str:
        """Return the identifier of a block.

        :param block_type: its type.
        :param ordinal: its place among those.
        """
        return f"{self._kinds.get(block_type) or self._kind(block_type)}{ordinal:012x}"

    def count(self, block_type: str, number: int) -> list[str]:
        """Return the identifiers of the first blocks of a type, from the place 1.

        :param block_type: their type.
        :param number: how many.
        """
        kind = self._kind(block_type)
        return [kind + ordinal for ordinal in _ordinals(number)]

    def _kind(self, block_type: str) -> str:
        text = hashlib.sha256((self._page + block_type).encode()).hexdigest()
        self._kinds[block_type] = f"{text[:8]}-{text[8:12]}-8{text[12:15]}-a{text[15:18]}-"
        return self._kinds[block_type]
