"""FHIR R4 JSON: NDJSON, Bundles, arrays and single resources, plain or gzipped, told apart by content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_lakehouse.parsers.fhir.parser import FhirParser
from airflow_lakehouse.parsing.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_lakehouse.parsing.model import RecordParser

__all__ = ["FhirParser", "lakehouse_parsers"]


@hookimpl
def lakehouse_parsers() -> Sequence[RecordParser]:
    """Bring the FHIR parser."""
    return [FhirParser()]
