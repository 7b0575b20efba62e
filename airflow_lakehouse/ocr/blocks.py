"""What a page becomes: blocks as Amazon Textract shapes them, and one result a page."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Final, NamedTuple

PAGE: Final = "PAGE"
LINE: Final = "LINE"
WORD: Final = "WORD"

OK: Final = "ok"
BLANK: Final = "blank"
FAILED: Final = "failed"
STATUSES: Final = (OK, BLANK, FAILED)

TEXT_LAYER: Final = "text_layer"
OCR: Final = "ocr"

_NAMESPACE: Final = uuid.UUID("6f1a3c52-5d6e-5b0c-9a53-0a1f6a3f2b11").bytes


class Block(NamedTuple):
    """One block of a page. Coordinates are 0 to 1 of the upright page, from its top left corner.

    :param id: the same for the same document, engine, page, type and place, so that reading again gives the same.
    :param block_type: ``PAGE``, ``LINE``, ``WORD``; other Textract types pass through.
    :param page: 1-based.
    :param text: text of the block; None for a page.
    :param confidence: 0 to 100; None for a page.
    :param confidence_source: ``text_layer``, ``ocr`` or ``textract``.
    :param left: left edge.
    :param top: top edge.
    :param width: width of the bounding box.
    :param height: height of the bounding box.
    :param polygon: x1, y1, x2, y2, ... beginning at the text's own top left.
    :param parent_id: block this one lies in.
    :param reading_order: 1-based, counted within the block type; None for a page.
    :param row_index: 1-based table row.
    :param column_index: 1-based table column.
    :param row_span: rows a cell covers.
    :param column_span: columns a cell covers.
    """

    id: str
    block_type: str
    page: int
    text: str | None = None
    confidence: float | None = None
    confidence_source: str | None = None
    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0
    polygon: tuple[float, ...] = (0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0)
    parent_id: str | None = None
    reading_order: int | None = None
    row_index: int | None = None
    column_index: int | None = None
    row_span: int | None = None
    column_span: int | None = None


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


@dataclass(frozen=True, slots=True)
class PageRead:
    """A page's result with its blocks.

    :param result: what became of it.
    :param blocks: PAGE first, then lines, then words, each in reading order; empty for a failed page.
    """

    result: PageResult
    blocks: tuple[Block, ...] = ()


def block_id(doc_sha256: str, engine: str, page: int, block_type: str, ordinal: int) -> str:
    """Return the identifier of a block.

    Textract's own are random: a second reading would add every row again.

    :param doc_sha256: hex sha256 of the document.
    :param engine: what read the page.
    :param page: 1-based page.
    :param block_type: type of the block.
    :param ordinal: place among the blocks of that type on the page.
    """
    name = f"{doc_sha256}/{engine}/{page}/{block_type}/{ordinal}".encode()
    # What uuid.uuid5 does, without building an object for each of a page's thousand blocks.
    digest = bytearray(hashlib.sha1(_NAMESPACE + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
