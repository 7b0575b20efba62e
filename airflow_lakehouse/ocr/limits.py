"""What one document may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airflow_lakehouse.exceptions import ConfigurationError

GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that hold for one document, however hostile it is.

    :param max_bytes: largest file; Textract's own bound by default.
    :param max_pages: most pages; Textract's own bound by default.
    :param ocr_pages: most pages of a document that are read by OCR; later ones fail as ``OCR_PAGE_LIMIT``.
        None for no bound.
    :param page_seconds: longest time for one page.
    :param document_seconds: longest time for one document.
    :param memory_bytes: address space of the reading process; onnxruntime and the models take 1.8 GiB of it.
    :param max_pixels: most pixels of a rendered page.
    :param max_restarts: times the process is started again for the rest of a document after a page has killed it.
    :raises ConfigurationError: when a bound is not positive.
    """

    max_bytes: int = 500 * 2**20
    max_pages: int = 3000
    ocr_pages: int | None = None
    page_seconds: float = 120.0
    document_seconds: float = 4 * 3600.0
    memory_bytes: int = 4 * GIB
    max_pixels: int = 9_000_000
    max_restarts: int = 3

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pages", "page_seconds", "document_seconds", "memory_bytes", "max_pixels"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"limit {name} is {getattr(self, name)!r}", legal="a number above 0")
        if self.ocr_pages is not None and self.ocr_pages < 0:
            raise ConfigurationError(f"limit ocr_pages is {self.ocr_pages!r}", legal="0 or more, or None")
