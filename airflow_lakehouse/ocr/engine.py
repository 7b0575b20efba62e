"""Finding an engine by name, and telling what results of it are worth.

Engines come through one door, the hook ``lakehouse_ocr_engines``: the built-in ones as anyone's. ``none`` is no engine:
text layers alone are read.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Final

import pluggy

from airflow_lakehouse.exceptions import OcrError, SetupError
from airflow_lakehouse.ocr import hookspecs
from airflow_lakehouse.ocr.model import INSTALL
from airflow_lakehouse.profile import OCR_PLUGIN

if TYPE_CHECKING:
    from airflow_lakehouse.ocr.model import EngineKind, OcrEngine

LOCAL: Final = "local"
NONE: Final = "none"
TEXTRACT: Final = "textract"
"""Not an engine of this machine: :mod:`airflow_lakehouse.ocr.textract` reads with it."""

RECIPE: Final = "2"
"""Raised when the same page would give other blocks; results of another recipe are not reused."""

_BUILT_IN: Final = ("airflow_lakehouse.ocr.rapid", "airflow_lakehouse.ocr.tesseract")


def engine_kinds() -> dict[str, EngineKind]:
    """Return every engine that is known here, installed or not, by name.

    :raises OcrError: when a plugin cannot be imported, or takes a name that is taken.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for module in _BUILT_IN:
        manager.register(importlib.import_module(module), module)
    try:
        manager.load_setuptools_entrypoints(hookspecs.ENTRY_POINT_GROUP)
    except Exception as error:
        # Any exception: an outside module runs its own code here, and the user must learn which one broke.
        raise OcrError(
            f"a plugin with an OCR engine failed to load: {type(error).__name__}: {error}",
            remedy=f"mend or uninstall the distribution with an entry point in {hookspecs.ENTRY_POINT_GROUP!r}",
        ) from error
    found: dict[str, EngineKind] = {}
    for brought in manager.hook.lakehouse_ocr_engines():
        for kind in brought:
            if kind.name in found or kind.name in (NONE, TEXTRACT):
                raise OcrError(f"two OCR engines are called {kind.name!r}", remedy="rename or uninstall one")
            found[kind.name] = kind
    return found


def resolve_engine(name: str, *, threads: int = 1) -> OcrEngine | None:
    """Return the engine of that name; None for ``none``, which reads text layers alone.

    :param name: ``local``, ``tesserocr``, ``tesseract``, ``none``, or what a plugin brings.
    :param threads: threads the engine may use.
    :raises OcrError: when the name is not known.
    :raises SetupError: when what the engine needs is not installed.
    """
    kinds = engine_kinds()
    name = name.removeprefix(OCR_PLUGIN)
    if name != NONE and name not in kinds:
        elsewhere = " on this machine" if name == TEXTRACT else ""
        raise OcrError(
            f"OCR engine {name!r} is not available{elsewhere}",
            legal=", ".join([LOCAL, NONE, *sorted(set(kinds) - {LOCAL})]),
            remedy=f"use {LOCAL!r}, or {NONE!r} to read text layers only",
        )
    _require(name, INSTALL, "pypdfium2")
    if name == NONE:
        return None
    kind = kinds[name]
    _require(name, kind.install, *kind.needs)
    return kind.build(threads)


def engine_version(name: str) -> str:
    """Return what results of an engine are stored under: every part whose change may change a block.

    :param name: as for :func:`resolve_engine`.
    :raises OcrError: when the name is not known.
    :raises SetupError: when what the engine needs is not installed.
    """
    engine = resolve_engine(name)
    reading = f"{engine.name}-{engine.version}" if engine else "text"
    return f"{RECIPE}-{reading}-pdfium-{text_layer_version()}"


def text_layer_version() -> str:
    """Return the version of what reads text layers."""
    return metadata.version("pypdfium2")


def _require(name: str, install: str, *distributions: str) -> None:
    missing = [distribution for distribution in distributions if not _is_installed(distribution)]
    if missing:
        raise SetupError(
            f"OCR engine {name!r} needs {', '.join(missing)}, which this environment does not have", remedy=install
        )


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
