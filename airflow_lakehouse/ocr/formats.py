"""What a document is, told by its first bytes: names lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PDF: Final = "pdf"
PNG: Final = "png"
JPEG: Final = "jpeg"
TIFF: Final = "tiff"

MAGIC: Final = b"%PDF-"
MAGIC_WITHIN: Final = 1024
"""Bytes within which readers look for the magic of a PDF: ISO 32000-2, Annex I."""
_IMAGES: Final = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
)


def format_of(head: bytes) -> str | None:
    """Return ``pdf``, ``png``, ``jpeg`` or ``tiff``, or None for anything else.

    :param head: the file's first bytes, :data:`MAGIC_WITHIN` or more.
    """
    for magic, name in _IMAGES:
        if head.startswith(magic):
            return name
    return PDF if MAGIC in head[:MAGIC_WITHIN] else None


def format_of_file(path: Path) -> str | None:
    """Return what :func:`format_of` says of a file.

    :param path: the file.
    """
    with path.open("rb") as stream:
        return format_of(stream.read(MAGIC_WITHIN))
