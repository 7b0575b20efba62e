"""PDFs made on the spot."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pypdfium2 as pdfium
import pytest
from reportlab.pdfgen.canvas import Canvas

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@pytest.fixture
def make_pdf() -> Callable[..., bytes]:
    """Return a function that makes a PDF, one page for each text; an empty text is an empty page."""

    def make(texts: Sequence[str], *, rotate: int = 0) -> bytes:
        data = BytesIO()
        canvas = Canvas(data, pagesize=(400, 600), invariant=True)
        for text in texts:
            for number, line in enumerate(text.splitlines()):
                canvas.drawString(50, 550 - 20 * number, line)
            canvas.showPage()
        canvas.save()
        return _shown_turned(data.getvalue(), rotate) if rotate else data.getvalue()

    return make


@pytest.fixture
def scan() -> bytes:
    """Return a PDF whose one page shows something, and has no text layer."""
    data = BytesIO()
    canvas = Canvas(data, pagesize=(400, 600), invariant=True)
    canvas.rect(100, 100, 200, 300, fill=1)
    canvas.showPage()
    canvas.save()
    return data.getvalue()


def _shown_turned(data: bytes, rotate: int) -> bytes:
    """Set the pages' own rotation; reportlab would also swap their sides."""
    document = pdfium.PdfDocument(data)
    for page in document:
        page.set_rotation(rotate)
    turned = BytesIO()
    document.save(turned)
    document.close()
    return turned.getvalue()
