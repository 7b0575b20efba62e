"""One page of an open document: text layer or OCR, and why."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.ocr import blocks, text_layer, trust, widgets
from airflow_lakehouse.ocr.assemble import Assembled, Frame, assemble
from airflow_lakehouse.ocr.blocks import BlockNames, PageRead, PageResult
from airflow_lakehouse.ocr.engine import text_layer_version
from airflow_lakehouse.ocr.geometry import Box, turned_size
from airflow_lakehouse.ocr.images import DPI, ImageDocument
from airflow_lakehouse.ocr.ruled_image import rules_in
from airflow_lakehouse.ocr.structure import Found, with_structure

if TYPE_CHECKING:
    from collections.abc import Callable

    import pypdfium2 as pdfium
    from numpy.typing import NDArray

    from airflow_lakehouse.ocr.limits import Limits
    from airflow_lakehouse.ocr.model import OcrEngine
    from airflow_lakehouse.ocr.widgets import Field

EMPTY_PAGE: Final = "EMPTY_PAGE"
"""Nothing is drawn on the page."""
NO_TEXT_FOUND: Final = "NO_TEXT_FOUND"
"""Something is drawn, and OCR found no text in it."""
OCR_DISABLED: Final = "OCR_DISABLED"
"""The page has no text layer to believe, and there is no engine to read it; ``method_reason`` says which."""
OCR_PAGE_LIMIT: Final = "OCR_PAGE_LIMIT"
"""The document has used up the pages that may be read by OCR."""
PAGE_LOAD_FAILED: Final = "PAGE_LOAD_FAILED"
"""PDFium cannot load the page."""
PAGE_SIZE: Final = "PAGE_SIZE"
"""The page is too large, too small or too long to be rendered legibly."""
PAGE_FAILED: Final = "PAGE_FAILED"
"""Reading the page raised an error."""
OUT_OF_MEMORY: Final = "OUT_OF_MEMORY"
"""The page needs more memory than the limit."""

_MAX_SIDE: Final = 3000
"""Pixels; the engine shrinks pages to 2000 anyway."""
_MIN_SIDE: Final = 24
_MIN_DPI: Final = 20
_THUMBNAIL: Final = 160
_FORM_KINDS: Final = (1, 3)
"""AcroForm, and static XFA, which is drawn as one."""


@dataclass
class Document:
    """An open document and what is needed to read its pages.

    :param pdf: opened by PDFium.
    :param doc_sha256: hex sha256 of its bytes.
    :param engine: reads pages without a trustworthy text layer; None to fail those.
    :param limits: bounds.
    :param ocr_left: pages that may still be read by OCR; None for no bound.
    """

    pdf: pdfium.PdfDocument | ImageDocument
    doc_sha256: str
    engine: OcrEngine | None
    limits: Limits
    ocr_left: int | None = None

    def frame(self, page: int, engine: str, source: str, size: tuple[float, float]) -> Frame:
        """Return the page that an engine has found lines on.

        :param page: 1-based.
        :param engine: what read it.
        :param source: where its confidence comes from.
        :param size: width and height, in the units of the lines.
        """
        return Frame(BlockNames(self.doc_sha256, engine, page), page, source, *size)


def read_page(document: Document, number: int) -> PageRead:
    """Read one page; whatever goes wrong becomes its result.

    :param document: the open document.
    :param number: 1-based page.
    :raises SetupError: when the engine cannot start, which is not the page's doing.
    """
    started = time.perf_counter()
    base, failed = PageResult(number, blocks.OK), PAGE_LOAD_FAILED
    try:
        page, fields = _load(document.pdf, number)
        with closing(page):
            displayed = text_layer.Displayed.of(page)
            base, failed = replace(base, width_pt=displayed.width, height_pt=displayed.height, rotation=0), PAGE_FAILED
            read = _read(document, _Page(page, displayed, fields, _renderer(document.pdf, page, number)), base)
    except SetupError:
        raise
    except MemoryError:
        read = PageRead(replace(base, status=blocks.FAILED, reason=OUT_OF_MEMORY))
    except Exception as error:  # noqa: BLE001 - one page must not take the others with it, whatever a library raises
        reason = OUT_OF_MEMORY if "alloc" in str(error).lower() else failed
        read = PageRead(replace(base, status=blocks.FAILED, reason=reason))
    seconds = round(time.perf_counter() - started, 3)
    return PageRead(replace(read.result, n_blocks=len(read.blocks), seconds=seconds), read.blocks)


def is_born_digital(pdf: pdfium.PdfDocument, number: int) -> bool:
    """Tell whether a page needs no OCR: its own text can be believed.

    :param pdf: the open document.
    :param number: 1-based page.
    """
    try:
        page, _ = _load(pdf, number)
    except Exception:  # noqa: BLE001 - whatever is wrong with the page, its text cannot be taken for it
        return False
    try:
        layer = text_layer.read(page, text_layer.Displayed.of(page))
        return bool(layer.lines) and trust.judge(layer.facts) == trust.TRUSTED
    except Exception:  # noqa: BLE001 - as above
        return False
    finally:
        page.close()


def _load(pdf: pdfium.PdfDocument | ImageDocument, number: int) -> tuple[pdfium.PdfPage, list[Field]]:
    """Load a page with its form fields and annotations drawn in: what a person filled in is text too."""
    page = pdf[number - 1]
    if pdf.formenv is None or not _has_annotations(page):
        return page, []
    from pypdfium2 import raw

    fields = widgets.fields(pdf, page, text_layer.Displayed.of(page).box)
    if raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY) == raw.FLATTEN_SUCCESS:
        page.close()
        page = pdf[number - 1]
    return page, fields


def _has_annotations(page: pdfium.PdfPage) -> bool:
    from pypdfium2 import raw

    return int(raw.FPDFPage_GetAnnotCount(page)) > 0


@dataclass(frozen=True, slots=True)
class _Page:
    """A loaded page, its measures, its form fields, and its image at some pixels a point."""

    page: pdfium.PdfPage
    displayed: text_layer.Displayed
    fields: list[Field]
    image: Callable[[float], NDArray[Any]]


def _read(document: Document, loaded: _Page, base: PageResult) -> PageRead:
    displayed = loaded.displayed
    layer = text_layer.read(loaded.page, displayed)
    verdict = trust.judge(layer.facts)
    if verdict == trust.TRUSTED and layer.lines:
        frame = document.frame(base.page, text_layer.NAME, blocks.TEXT_LAYER, (displayed.width, displayed.height))
        result = replace(
            base,
            method=blocks.TEXT_LAYER,
            method_reason=verdict,
            engine=text_layer.NAME,
            engine_version=text_layer_version(),
        )
        found = Found(layer.rules, loaded.fields)
        return _with_blocks(result, assemble(layer.lines, frame), frame, found)
    return _read_image(document, loaded, replace(base, method_reason=verdict))


def _read_image(document: Document, loaded: _Page, base: PageResult) -> PageRead:
    scale = _scale(loaded.displayed, document.limits)
    if scale is None:
        return PageRead(replace(base, status=blocks.FAILED, reason=PAGE_SIZE))
    no_text = base.method_reason == trust.NO_TEXT_LAYER
    if no_text and is_uniform(loaded.image(scale * _THUMBNAIL / _MAX_SIDE * 4)):
        return _blank(document, replace(base, method=None, reason=EMPTY_PAGE))
    engine = document.engine
    if engine is None:
        return PageRead(replace(base, status=blocks.FAILED, reason=OCR_DISABLED))
    if document.ocr_left is not None:
        if document.ocr_left <= 0:
            return PageRead(replace(base, status=blocks.FAILED, reason=OCR_PAGE_LIMIT))
        document.ocr_left -= 1
    image = loaded.image(scale)
    base = replace(base, method=blocks.OCR, engine=engine.name, engine_version=engine.version)
    lines = engine.read_page(image)
    if not lines:
        return _blank(document, replace(base, reason=NO_TEXT_FOUND))
    height, width = image.shape[:2]
    frame = document.frame(base.page, engine.name, blocks.OCR, (width, height))
    grown = width / loaded.displayed.width
    fields = [field._replace(box=Box(*(side * grown for side in field.box))) for field in loaded.fields]
    return _with_blocks(base, assemble(lines, frame), frame, Found(rules_in(image), fields))


def _blank(document: Document, base: PageResult) -> PageRead:
    name = base.engine or text_layer.NAME
    frame = document.frame(base.page, name, blocks.OCR, (1, 1))
    result = replace(base, status=blocks.BLANK, engine=name, engine_version=base.engine_version or text_layer_version())
    return PageRead(result, assemble([], frame).blocks)


def _with_blocks(base: PageResult, assembled: Assembled, frame: Frame, found: Found) -> PageRead:
    width, height = turned_size(assembled.rotation, base.width_pt or 0.0, base.height_pt or 0.0)
    result = replace(
        base,
        width_pt=width,
        height_pt=height,
        rotation=assembled.rotation,
        mean_confidence=assembled.mean_confidence,
    )
    return PageRead(result, with_structure(assembled, frame, found))


def _scale(displayed: text_layer.Displayed, limits: Limits) -> float | None:
    """Return pixels a point, or None where no image of the page would be legible within the limits.

    Decided before anything is allocated: a page may claim to be 2,147,483,648 points high.
    """
    width, height = displayed.width, displayed.height
    if width <= 0 or height <= 0:
        return None
    scale: float = min(DPI / 72, _MAX_SIDE / max(width, height), (limits.max_pixels / (width * height)) ** 0.5)
    if min(width, height) * scale < _MIN_SIDE or scale * 72 < _MIN_DPI:
        return None
    return scale


def _renderer(
    pdf: pdfium.PdfDocument | ImageDocument, page: pdfium.PdfPage, number: int
) -> Callable[[float], NDArray[Any]]:
    if isinstance(pdf, ImageDocument):
        # Its own pixels: a scan that is drawn anew is a little less sharp, and reads a little worse.
        return lambda scale: pdf.pixels(number - 1, scale * 72 / DPI)
    return lambda scale: _render(page, scale)


def _render(page: pdfium.PdfPage, scale: float) -> NDArray[Any]:
    bitmap = page.render(scale=scale, rev_byteorder=False, prefer_bgrx=False)
    try:
        # A copy: the bitmap's memory goes with it.
        image: NDArray[Any] = bitmap.to_numpy().copy()
    finally:
        bitmap.close()
    return image


def is_uniform(image: NDArray[Any]) -> bool:
    """Tell whether an image shows nothing at all.

    :param image: height x width x 3, 8 bit.
    """
    return int(image.max()) - int(image.min()) <= 4  # noqa: PLR2004 - rounding of a page's own colour
