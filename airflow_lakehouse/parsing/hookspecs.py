"""The hooks an outside distribution may implement. Signatures only; see ``docs/how-to/write-a-parser.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_lakehouse.parsing.model import Parser, RecordParser

PROJECT = "airflow_lakehouse"
"""Name of the hook markers."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of yours as one of these hooks."""


@hookspec
def lakehouse_parsers() -> Sequence[Parser | RecordParser]:  # type: ignore[empty-body]  # a hookspec has no body
    """Return the parsers this plugin brings."""
