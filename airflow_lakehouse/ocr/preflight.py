"""What a document is, and whether an engine takes it: asked before anything is paid for.

::

    with Preflight(TEXTRACT_ASYNC) as preflight:
        found = preflight.check(path, born_digital=True)
    if isinstance(found, Rejected):
        ...                                   # one quarantine row: found.reason, found.detail
    pages_to_pay_for = found.pages - len(found.born_digital)

The first bytes and the size are looked at here. The document itself is hostile until proven otherwise: only the
bounded process of :mod:`airflow_lakehouse.ocr.child` opens it.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from airflow_lakehouse.ocr.child import TOO_MANY_PAGES, XFA_FORM
from airflow_lakehouse.ocr.engine import NONE
from airflow_lakehouse.ocr.formats import JPEG, PDF, PNG, TIFF, format_of_file
from airflow_lakehouse.ocr.inspection import inspect
from airflow_lakehouse.ocr.reader import EMPTY_FILE, NOT_A_DOCUMENT, NOT_A_PDF, TOO_LARGE, Worker
from airflow_lakehouse.parsing.model import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from airflow_lakehouse.ocr.inspection import Inspected
    from airflow_lakehouse.ocr.limits import Limits

UNSUPPORTED_FORMAT: Final = "UNSUPPORTED_FORMAT"
"""A document, but of a kind that this engine does not take."""
PAGE_TOO_LARGE: Final = "PAGE_TOO_LARGE"
"""A page is larger than the engine takes, in points."""
IMAGE_TOO_LARGE: Final = "IMAGE_TOO_LARGE"
"""The image has a side of more pixels than the engine takes."""
PASSWORD_PROTECTED: Final = "PASSWORD_PROTECTED"  # noqa: S105 - a code
"""The password given opens the document, and the engine takes none: Textract reads only what opens without one."""

_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an engine takes.

    :param max_bytes: format to the largest file; a format that is not named is not taken.
    :param max_pages: most pages.
    :param max_side_pt: longest side of a page, points.
    :param doubtful_side_pt: longest side, points, that every source about the engine agrees on; above it
        :attr:`Checked.doubtful_pages` says so, and the engine decides.
    :param max_side_px: longest side of an image, pixels.
    :param takes_passwords: reads documents that need a password to be opened.
    :param takes_xfa: reads static XFA forms; nobody reads dynamic ones.
    """

    max_bytes: Mapping[str, int]
    max_pages: int
    max_side_pt: float
    doubtful_side_pt: float
    max_side_px: int
    takes_passwords: bool
    takes_xfa: bool


TEXTRACT_ASYNC: Final = Bounds(
    MappingProxyType({PDF: 500 * _MIB, TIFF: 500 * _MIB, JPEG: 10 * _MIB, PNG: 10 * _MIB}),
    max_pages=3000,
    # 2,880 points in the developer guide of 2023, 9,000 in later mirrors of it.
    max_side_pt=9000,
    doubtful_side_pt=2880,
    max_side_px=10_000,
    takes_passwords=False,
    takes_xfa=False,
)
"""Start operations of Amazon Textract: https://docs.aws.amazon.com/textract/latest/dg/limits-document.html."""
TEXTRACT_SYNC: Final = replace(
    TEXTRACT_ASYNC, max_bytes=MappingProxyType(dict.fromkeys((PDF, TIFF, JPEG, PNG), 10 * _MIB)), max_pages=1
)
"""``AnalyzeDocument`` and ``DetectDocumentText``, with the document in S3."""


def local_bounds(limits: Limits) -> Bounds:
    """Return what the local engine takes: all that :class:`~airflow_lakehouse.ocr.limits.Limits` allow.

    A page too large to be rendered fails by itself there, so it is no reason to reject a document.

    :param limits: bounds of each document.
    """
    every = MappingProxyType(dict.fromkeys((PDF, TIFF, JPEG, PNG), limits.max_bytes))
    return Bounds(every, limits.max_pages, float("inf"), float("inf"), 2**31, takes_passwords=True, takes_xfa=True)


@dataclass(frozen=True, slots=True)
class Checked:
    """A document the engine takes.

    :param format: ``pdf``, ``png``, ``jpeg`` or ``tiff``.
    :param pages: how many it has.
    :param sizes: width and height of each displayed page; points, of an image pixels. (0, 0) where a page of a PDF
        cannot be measured: it will come back as failed.
    :param born_digital: 1-based pages whose own text can be believed, so that nobody need be paid to read them; empty
        unless it was asked for.
    :param doubtful_pages: 1-based pages of a size on which sources about the engine differ.
    """

    format: str
    pages: int
    sizes: tuple[tuple[float, float], ...]
    born_digital: tuple[int, ...] = ()
    doubtful_pages: tuple[int, ...] = ()


class Preflight:
    """Checks documents against the bounds of an engine, one process for all of them. Use it as a context manager.

    One thread at a time.

    :param bounds: what the engine takes.
    :param limits: memory and time of the process that opens the documents.
    :raises SetupError: when PDFium is not installed.
    """

    def __init__(self, bounds: Bounds, limits: Limits | None = None) -> None:
        self.bounds = bounds
        self._worker = Worker(NONE, limits, threads=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._worker.close()

    def check(
        self, data: Path | str | bytes, *, password: str | None = None, born_digital: bool = False
    ) -> Checked | Rejected:
        """Return what a document is, or why the engine does not take it; never raises for what is in it.

        :param data: a path on this machine, or the document's bytes.
        :param password: opens it, where it needs one; goes to the process by its input, and into no message.
        :param born_digital: look for pages that need no OCR, a few milliseconds each.
        :raises SetupError: when what is needed is not installed.
        """
        with _on_disk(data) as path:
            kind = format_of_file(path)
            rejected = self._by_its_bytes(path.stat().st_size, kind)
            if rejected:
                return rejected
            found = inspect(self._worker, path, password=password, born_digital=born_digital)
        if found.reason:
            return Rejected(0, found.reason, found.detail)
        return self._by_its_pages(str(kind), found)

    def _by_its_bytes(self, size: int, kind: str | None) -> Rejected | None:
        if size == 0:
            return Rejected(0, EMPTY_FILE, "the file has no bytes")
        if kind is None:
            return Rejected(0, NOT_A_PDF, NOT_A_DOCUMENT)
        most = self.bounds.max_bytes.get(kind)
        if most is None:
            return Rejected(0, UNSUPPORTED_FORMAT, f"{kind}; legal: {', '.join(sorted(self.bounds.max_bytes))}")
        if size > most:
            return Rejected(0, TOO_LARGE, f"{size} bytes, {most} are allowed for {kind}")
        return None

    def _by_its_pages(self, kind: str, found: Inspected) -> Checked | Rejected:
        bounds = self.bounds
        if found.pages > bounds.max_pages:
            return Rejected(0, TOO_MANY_PAGES, f"{found.pages} pages, {bounds.max_pages} are allowed")
        if found.needed_password and not bounds.takes_passwords:
            return Rejected(0, PASSWORD_PROTECTED, "it needs a password, and the engine takes none; store it without")
        if found.is_xfa and not bounds.takes_xfa:
            return Rejected(0, XFA_FORM, "an XFA form, which the engine does not take; print it to PDF")
        most, unit, reason = (
            (bounds.max_side_pt, "points", PAGE_TOO_LARGE)
            if kind == PDF
            else (bounds.max_side_px, "pixels", IMAGE_TOO_LARGE)
        )
        for page, size in enumerate(found.sizes, 1):
            if max(size) > most:
                return Rejected(0, reason, f"page {page} is {max(size):.0f} {unit} long, {most:.0f} are allowed")
        doubtful = (page for page, size in enumerate(found.sizes, 1) if max(size) > bounds.doubtful_side_pt)
        return Checked(kind, found.pages, found.sizes, found.born_digital, tuple(doubtful) if kind == PDF else ())


@contextmanager
def _on_disk(data: Path | str | bytes) -> Iterator[Path]:
    if not isinstance(data, bytes):
        yield Path(data)
        return
    with tempfile.TemporaryDirectory(prefix="lakehouse-preflight-") as folder:
        path = Path(folder) / "document"
        path.write_bytes(data)
        yield path
