"""The one-file form of a parser plugin: ``lakehouse run RAW --warehouse DIR --parser plugins/csv_dropin.py``.

Reads ward lists, lines of ``ward;bed;patient``, into ``bronze_csv_ward_list``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_lakehouse import Parser, Rejected, Row, SourceFile, hookimpl
from airflow_lakehouse.tables import Column, Table, bronze

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WARD_LIST: Final = Table(
    name="bronze_csv_ward_list",
    namespace="bronze",
    grain="one row per line of one file version",
    columns=(
        Column("ward", "string", "Ward"),
        Column("bed", "string", "Bed on the ward"),
        Column("patient_id", "string", "Who lies in it"),
        *bronze.PROVENANCE,
    ),
    key=bronze.RECORD_KEY,
)
_HEADER: Final = b"ward;bed;patient"


class WardListParser:
    """Reads files that begin with the line ``ward;bed;patient``."""

    name = "ward_list"
    version = "1"
    tables = (WARD_LIST,)

    def claims(self, file: SourceFile, head: bytes) -> bool:
        """Claim files by their first line."""
        del file
        return head.splitlines()[:1] == [_HEADER]

    def parse(self, file: SourceFile, stream: BinaryIO) -> Iterator[Row | Rejected]:
        """Yield a row a line."""
        del file
        for number, line in enumerate(stream, 1):
            cells = line.decode("utf-8", "replace").strip().split(";")
            if number == 1 or not line.strip():
                continue
            if len(cells) == len(_HEADER.split(b";")):
                yield Row(WARD_LIST.name, number, dict(zip(("ward", "bed", "patient_id"), cells, strict=True)))
            else:
                yield Rejected(number, "WRONG_COLUMN_COUNT", "three columns are wanted", line)


@hookimpl
def lakehouse_parsers() -> Sequence[Parser]:
    """Bring the parser."""
    return [WardListParser()]
