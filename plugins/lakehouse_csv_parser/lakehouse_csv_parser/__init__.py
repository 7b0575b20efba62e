"""A source of one's own: immunisation registers as CSV, into a bronze table of their own.

Everything an outside parser needs is here: the table, what the parser claims, how it reads, and the hook that brings
it. The load adds provenance, deduplicates, quarantines and counts, as it does for the built-in sources.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_lakehouse import Parser, Rejected, Row, SourceFile, hookimpl
from airflow_lakehouse.tables import Column, Partition, Table, bronze

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IMMUNISATION: Final = Table(
    name="bronze_csv_immunisation",
    namespace="bronze",
    grain="one row per line of one file version",
    columns=(
        Column("patient_id", "string", "Patient, as in silver_dim_patient", required=True),
        Column("vaccine", "string", "CVX code of the vaccine", required=True),
        Column("given_on", "date", "Day it was given"),
        Column("dose_ml", "decimal(6,3)", "Dose, millilitres"),
        *bronze.PROVENANCE,
    ),
    key=bronze.RECORD_KEY,
    partitions=(Partition("dt"),),
)
_HEADER: Final = ["patient_id", "vaccine", "given_on", "dose_ml"]


class ImmunisationParser:
    """Reads registers with the header ``patient_id,vaccine,given_on,dose_ml``."""

    name = "immunisations"
    version = "1"
    tables = (IMMUNISATION,)

    def claims(self, file: SourceFile, head: bytes) -> bool:
        """Claim files by their header, whatever they are called."""
        del file
        return head.removeprefix(b"\xef\xbb\xbf").splitlines()[:1] == [",".join(_HEADER).encode()]

    def parse(self, file: SourceFile, stream: BinaryIO) -> Iterator[Row | Rejected]:
        """Yield a row a line; a line without patient or vaccine is rejected, and its neighbours load."""
        del file
        lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader: csv.DictReader[str] = csv.DictReader(lines)
        for record in reader:
            number = reader.line_num
            if None in record or None in record.values():
                yield Rejected(number, "WRONG_COLUMN_COUNT", f"{len(_HEADER)} columns are wanted", _raw(record))
            elif not record["patient_id"] or not record["vaccine"]:
                yield Rejected(number, "MISSING_KEY", "patient_id and vaccine are wanted", _raw(record))
            else:
                yield Row(IMMUNISATION.name, number, {name: value or None for name, value in record.items()})


def _raw(record: dict[str | None, str | list[str] | None]) -> bytes:
    cells = [cell for held in record.values() for cell in (held if isinstance(held, list) else [held or ""])]
    return ",".join(cells).encode("utf-8", "surrogateescape")


@hookimpl
def lakehouse_parsers() -> Sequence[Parser]:
    """Bring the parser."""
    return [ImmunisationParser()]
