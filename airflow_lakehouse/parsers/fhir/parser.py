"""The FHIR parser: Python cuts records out, Spark reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_lakehouse.parsers.fhir import cut, drift, rescue
from airflow_lakehouse.parsers.fhir.layout import BOM
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import DataFrame

    from airflow_lakehouse.parsing.model import Record, Rejected, SourceFile

_NAMES: Final = (".ndjson", ".jsonl", ".json")


class FhirParser:
    """FHIR R4 resources as JSON."""

    name = "fhir"
    version = "1"
    tables = (*bronze.FHIR_TABLES.values(), bronze.OTHER)

    def claims(self, file: SourceFile, head: bytes) -> bool:
        """Claim JSON, and what looks or is named like it, so that a broken file is rejected for what it is."""
        start = head.removeprefix(BOM).lstrip()[:1]
        return (
            start in (b"{", b"[") or b'"resourceType"' in head or file.uri.lower().removesuffix(".gz").endswith(_NAMES)
        )

    def cut(self, file: SourceFile, stream: BinaryIO) -> Iterator[Record | Rejected]:
        """Yield the exact bytes of each resource."""
        del file  # the content alone tells the shape
        return cut.cut(stream)

    def lift(self, records: DataFrame) -> DataFrame:
        """Read what bronze keeps beside the text: type, id, version, time."""
        from airflow_lakehouse.parsers.fhir.lift import lift

        return lift(records)

    def unknown_fields(self, resource_type: str, shape: str | None, extensions: str | None) -> Mapping[str, str]:
        """Return the paths R4 does not name, as :func:`airflow_lakehouse.parsers.fhir.drift.unknown_fields`.

        :param resource_type: the type the records are of.
        :param shape: the merged schema of the records; None when only their extensions are known.
        :param extensions: the extension URLs found in them.
        """
        return drift.unknown_fields(resource_type, shape, extensions)

    def rescued(self, resource_type: str, body: str) -> str | None:
        """Return what R4 does not name in a record, as :func:`airflow_lakehouse.parsers.fhir.rescue.rescued`.

        :param resource_type: type of the record.
        :param body: its text.
        """
        return rescue.rescued(resource_type, body)
