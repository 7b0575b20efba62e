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
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.ocr.engine import resolve_engine
from airflow_lakehouse.ocr.limits import Limits
from airflow_lakehouse.ocr.pages import Document, read_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pypdfium2 as pdfium

    from airflow_lakehouse.ocr.model import OcrEngine

ENCRYPTED: Final = "ENCRYPTED"
"""The document needs a password."""
CORRUPT_PDF: Final = "CORRUPT_PDF"
"""PDFium cannot open the document."""
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


class _Rejected(Exception):  # noqa: N818 - not an error: an outcome
    def __init__(self, reason: str, detail: str, pages: int = 0) -> None:
        self.reason, self.detail, self.pages = reason, detail, pages
        super().__init__(reason)


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
        pdf = _open(Path(request["path"]), limits)
    except _Rejected as rejected:
        yield {"event": "rejected", "reason": rejected.reason, "detail": rejected.detail, "pages": rejected.pages}
        return
    try:
        yield {"event": "opened", "pages": len(pdf)}
        document = Document(pdf, request["doc_sha256"], engine, limits, request["ocr_left"])
        wanted = set(request["skip"])
        for number in range(request["first_page"], len(pdf) + 1):
            if number in wanted:
                continue
            read = read_page(document, number)
            blocks = [asdict(block) for block in read.blocks]
            yield {"event": "page", "result": asdict(read.result), "blocks": blocks}
    finally:
        pdf.close()
    yield {"event": "end"}


def _open(path: Path, limits: Limits) -> pdfium.PdfDocument:
    import pypdfium2 as pdfium

    try:
        pdf = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        # By code: PDFium's own words for an unsupported filter are "Success".
        if error.err_code in (_ERROR_PASSWORD, _ERROR_SECURITY):
            raise _Rejected(ENCRYPTED, "the document needs a password") from None
        raise _Rejected(CORRUPT_PDF, f"PDFium cannot open it (error {error.err_code})") from None
    pages = len(pdf)
    if pdf.get_formtype() == _XFA_DYNAMIC:
        raise _Rejected(XFA_FORM, "a dynamic XFA form holds no pages to read; print it to PDF", pages)
    if pages == 0:
        raise _Rejected(NO_PAGES, "the document has no page")
    if pages > limits.max_pages:
        raise _Rejected(TOO_MANY_PAGES, f"{pages} pages, {limits.max_pages} are allowed", pages)
    pdf.init_forms()
    return pdf


if __name__ == "__main__":
    main()
