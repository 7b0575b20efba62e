"""The hook an outside distribution implements to bring an engine. See ``docs/how-to/read-documents.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_lakehouse.parsing.hookspecs import PROJECT, hookimpl, hookspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_lakehouse.ocr.model import EngineKind

ENTRY_POINT_GROUP = "airflow_lakehouse.ocr_engines"
"""Entry point group of engine plugins; its members are modules that implement the hook."""

__all__ = ["ENTRY_POINT_GROUP", "PROJECT", "hookimpl", "lakehouse_ocr_engines"]


@hookspec
def lakehouse_ocr_engines() -> Sequence[EngineKind]:  # type: ignore[empty-body]  # a hookspec has no body
    """Return the engines this plugin brings."""
