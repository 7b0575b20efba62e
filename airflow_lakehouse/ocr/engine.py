"""Finding an engine by name, and telling what results of it are worth."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import OcrError, SetupError
from airflow_lakehouse.ocr.model import INSTALL

if TYPE_CHECKING:
    from airflow_lakehouse.ocr.model import OcrEngine

LOCAL: Final = "local"
NONE: Final = "none"
TEXTRACT: Final = "textract"
"""Not an engine of this machine: :mod:`airflow_lakehouse.ocr.textract` reads with it."""

RECIPE: Final = "2"
"""Raised when the same page would give other blocks; results of another recipe are not reused."""


def resolve_engine(name: str, *, threads: int = 1) -> OcrEngine | None:
    """Return the engine of that name; None for ``none``, which reads text layers alone.

    :param name: ``local`` or ``none``.
    :param threads: threads the engine may use.
    :raises OcrError: when the name is not known.
    :raises SetupError: when what the engine needs is not installed.
    """
    if name not in (LOCAL, NONE):
        elsewhere = " on this machine" if name == TEXTRACT else ""
        raise OcrError(
            f"OCR engine {name!r} is not available{elsewhere}",
            legal=f"{LOCAL}, {NONE}",
            remedy=f"use {LOCAL!r}, or {NONE!r} to read text layers only",
        )
    _require(name, "pypdfium2", *(("rapidocr", "onnxruntime") if name == LOCAL else ()))
    if name == NONE:
        return None
    from airflow_lakehouse.ocr.rapid import RapidEngine

    return RapidEngine(threads)


def engine_version(name: str) -> str:
    """Return what results of an engine are stored under: every part whose change may change a block.

    :param name: ``local`` or ``none``.
    :raises OcrError: when the name is not known.
    :raises SetupError: when what the engine needs is not installed.
    """
    engine = resolve_engine(name)
    reading = f"{engine.name}-{engine.version}" if engine else "text"
    return f"{RECIPE}-{reading}-pdfium-{text_layer_version()}"


def text_layer_version() -> str:
    """Return the version of what reads text layers."""
    return metadata.version("pypdfium2")


def _require(name: str, *distributions: str) -> None:
    missing = [distribution for distribution in distributions if not _is_installed(distribution)]
    if missing:
        raise SetupError(
            f"OCR engine {name!r} needs {', '.join(missing)}, which this environment does not have", remedy=INSTALL
        )


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
