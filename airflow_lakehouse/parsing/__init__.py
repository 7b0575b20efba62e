"""The plugin door: how a source becomes bronze rows.

=========== =======================================================================
module      what it holds
=========== =======================================================================
model       SourceFile, Row, Record, Rejected, and what a parser is
hookspecs   the hook an outside distribution implements
registry    finding and checking parsers
=========== =======================================================================
"""

from __future__ import annotations

from airflow_lakehouse.parsing.hookspecs import hookimpl
from airflow_lakehouse.parsing.model import REJECTED, Parser, Record, RecordParser, Rejected, Row, SourceFile
from airflow_lakehouse.parsing.registry import Registry, load_parser, load_registry

__all__ = [
    "REJECTED",
    "Parser",
    "Record",
    "RecordParser",
    "Registry",
    "Rejected",
    "Row",
    "SourceFile",
    "hookimpl",
    "load_parser",
    "load_registry",
]
