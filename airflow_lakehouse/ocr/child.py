"""The process that opens documents: ``python -m airflow_lakehouse.ocr.child``.

Reads one JSON request a line from standard input, writes one JSON event a line to standard output. It exists because
PDFium and onnxruntime are native code fed with files from outside: what crashes, hangs or swells here is a page that
failed, not a worker that died. It ends when its input does, so a killed parent leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.ocr.engine import resolve_engine
from airflow_lakehouse.ocr.formats import PDF, format_of_file
from airflow_lakehouse.ocr.images import ImageDocument
from airflow_lakehouse.ocr.limits import Limits
from airflow_lakehouse.ocr.pages import Document, is_born_digital, read_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pypdfium2 as pdfium

    from airflow_lakehouse.ocr.model import OcrEngine

ENCRYPTED: Final = "ENCRYPTED"
"""The document needs a password."""
CORRUPT_PDF: Final = "CORRUPT_PDF"
"""PDFium cannot open the document."""
CORRUPT_IMAGE: Final = "CORRUPT_IMAGE"
"""The image cannot be opened, though its first bytes are right."""
WRONG_PASSWORD: Final = "WRONG_PASSWORD"  # noqa: S105 - a code
"""The document needs a password, and the one that was given does not open it."""
XFA_FORM: Final = "XFA_FORM"
"""A dynamic XFA form: the file holds no pages, only a notice to open it elsewhere."""
NO_PAGES: Final = "NO_PAGES"
"""The document has no page."""
TOO_MANY_PAGES: Final = "TOO_MANY_PAGES"
"""The document has more pages than the limit."""

_ALARM_SLACK: Final = 90.0
"""Seconds beyond a page's time; more than the parent waits for the first page of a new process."""
_ERROR_PASSWORD: Final = 4
_ERROR_SECURITY: Final = 5
_XFA_DYNAMIC: Final = 2
_XFA_STATIC: Final = 3

READ: Final = "read"
INSPECT: Final = "inspect"
"""What a request asks for: the pages, or what the document is."""


class _Rejected(Exception):  # noqa: N818 - not an error: an outcome
    def __init__(self, reason: str, detail: str, pages: int = 0) -> None:
        self.reason, self.detail, self.pages = reason, detail, pages
        super().__init__(reason)


@dataclass(frozen=True)
class _Opened:
    pdf: pdfium.PdfDocument | ImageDocument
    needed_password: bool = False
    is_xfa: bool = False


def main() -> None:
    """Serve requests until the input ends."""
    events = _own_output()
    engines: dict[tuple[str, int], OcrEngine | None] = {}
    for line in sys.stdin.buffer:
        request = json.loads(line)
        limits = Limits(**request["limits"])
        _limit_memory(limits.memory_bytes)
        _set_alarm(limits.page_seconds + _ALARM_SLACK)
        key = (request["engine"], request["threads"])
        if key not in engines:
            engines[key] = resolve_engine(key[0], threads=key[1])
        for event in _guarded(_read(request, limits, engines[key])):
            # Bounds each page even when the parent was killed while native code is in a loop.
            _set_alarm(limits.page_seconds + _ALARM_SLACK)
            events.write(json.dumps(event, ensure_ascii=True, allow_nan=False).encode() + b"\n")
            events.flush()
        _set_alarm(0)


def _guarded(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Pass events on; an engine that cannot start is reported by name, not by dying."""
    try:
        yield from events
    except SetupError as error:
        yield {"event": "broken", "message": error.message, "remedy": error.remedy}


def _set_alarm(seconds: float) -> None:
    """Have the kernel end this process after some time; 0 for never.

    The parent's own limit comes first. Reading the input's end takes an interpreter that runs, and one that is in
    native code for ever does not.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _own_output() -> IO[bytes]:
    """Keep standard output for events: native libraries print to it, and a stray line would end the document."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return events


def _limit_memory(memory_bytes: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, OSError, ValueError):
        return  # Windows has no such limit, and macOS refuses it; the time limits still hold.


def _read(request: dict[str, Any], limits: Limits, engine: OcrEngine | None) -> Iterator[dict[str, Any]]:
    try:
        opened = _open(Path(request["path"]), request.get("password"))
        if request["do"] == INSPECT:
            yield from _inspect(opened, born_digital=request["born_digital"])
            return
        yield from _pages(opened, request, limits, engine)
    except _Rejected as rejected:
        yield {"event": "rejected", "reason": rejected.reason, "detail": rejected.detail, "pages": rejected.pages}
        return
    yield {"event": "end"}


def _pages(
    opened: _Opened, request: dict[str, Any], limits: Limits, engine: OcrEngine | None
) -> Iterator[dict[str, Any]]:
    pdf = opened.pdf
    try:
        if len(pdf) > limits.max_pages:
            raise _Rejected(TOO_MANY_PAGES, f"{len(pdf)} pages, {limits.max_pages} are allowed", len(pdf))
        yield {"event": "opened", "pages": len(pdf)}
        document = Document(pdf, request["doc_sha256"], engine, limits, request["ocr_left"])
        wanted = set(request["skip"])
        for number in range(request["first_page"], len(pdf) + 1):
            if number in wanted:
                continue
            read = read_page(document, number)
            blocks = [block._asdict() for block in read.blocks]
            yield {"event": "page", "result": asdict(read.result), "blocks": blocks}
    finally:
        pdf.close()


def _inspect(opened: _Opened, *, born_digital: bool) -> Iterator[dict[str, Any]]:
    pdf = opened.pdf
    try:
        yield {"event": "opened", "pages": len(pdf), "needed_password": opened.needed_password, "is_xfa": opened.is_xfa}
        sizes = pdf.sizes() if isinstance(pdf, ImageDocument) else (_size(pdf, place) for place in range(len(pdf)))
        for number, size in enumerate(sizes, 1):
            trusted = born_digital and not isinstance(pdf, ImageDocument) and is_born_digital(pdf, number)
            yield {"event": "measured", "page": number, "size": size, "born_digital": trusted}
    except OSError as error:  # A TIFF whose later frames are broken.
        raise _Rejected(CORRUPT_IMAGE, f"the image cannot be read ({type(error).__name__})") from None
    finally:
        pdf.close()
    yield {"event": "end"}


def _size(pdf: pdfium.PdfDocument, place: int) -> tuple[float, float]:
    import pypdfium2 as pdfium

    try:
        width, height = pdf.get_page_size(place)
    except pdfium.PdfiumError:
        return (0.0, 0.0)
    return (width, height)


def _open(path: Path, password: str | None) -> _Opened:
    if format_of_file(path) == PDF:
        return _open_pdf(path, password)
    try:
        return _Opened(ImageDocument(path))
    except Exception as error:  # noqa: BLE001 - Pillow's readers raise whatever a broken file leads them to
        raise _Rejected(CORRUPT_IMAGE, f"the image cannot be opened ({type(error).__name__})") from None


def _open_pdf(path: Path, password: str | None) -> _Opened:
    import pypdfium2 as pdfium

    needed = False
    try:
        pdf = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        needed = _is_encrypted(error)
        if not needed:
            # By code: PDFium's own words for an unsupported filter are "Success".
            raise _Rejected(CORRUPT_PDF, f"PDFium cannot open it (error {error.err_code})") from None
        pdf = _open_with(path, password)
    pages = len(pdf)
    form = pdf.get_formtype()
    if form == _XFA_DYNAMIC:
        raise _Rejected(XFA_FORM, "a dynamic XFA form holds no pages to read; print it to PDF", pages)
    if pages == 0:
        raise _Rejected(NO_PAGES, "the document has no page")
    pdf.init_forms()
    return _Opened(pdf, needed, form == _XFA_STATIC)


def _open_with(path: Path, password: str | None) -> pdfium.PdfDocument:
    import pypdfium2 as pdfium

    if password is None:
        raise _Rejected(ENCRYPTED, "the document needs a password")
    try:
        return pdfium.PdfDocument(path, password=password)
    except (pdfium.PdfiumError, ValueError):
        raise _Rejected(WRONG_PASSWORD, "the document needs a password, and not the one that was given") from None


def _is_encrypted(error: pdfium.PdfiumError) -> bool:
    return error.err_code in (_ERROR_PASSWORD, _ERROR_SECURITY)


if __name__ == "__main__":
    main()
