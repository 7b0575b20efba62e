"""What a parser sees and gives back.

A parser turns one source file into rows and rejects, or, where Spark can do the typing faster than Python,
into records that its :class:`RecordParser` side types natively. It never decides where rows are stored, how they
are deduplicated, or what happens to rejects: the load does, alike for every source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import DataFrame

    from airflow_lakehouse.tables import Table

REJECTED = "rejected"
"""Column that carries what was rejected in the cut through :meth:`RecordParser.lift`; apart, files were read twice."""

Value = object
"""A cell: None, str, bool, int, float, Decimal, date, datetime, bytes, or a list or dict of str."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One version of one file in the raw drop.

    :param uri: where it is, ``file:///...`` or ``s3://...``.
    :param etag: version of its content; a local file's is its sha256.
    :param size: bytes.
    :param dt: ``YYYY-MM-DD`` from the path or the run, or None.
    :param source_system: from the path or the run.
    :param textract: root of what engines have read from documents, for parsers of documents.
    """

    uri: str
    etag: str
    size: int
    dt: str | None = None
    source_system: str = "default"
    textract: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row for one bronze table.

    :param table: name of the table; one of the parser's own.
    :param position: 1-based line, entry or page in the file.
    :param values: column name to value; provenance columns are added by the load.
    """

    table: str
    position: int
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Record:
    """One record cut out of a file, to be typed by Spark.

    :param position: 1-based line, Bundle entry or array element.
    :param body: exact source bytes, valid UTF-8.
    :param entry: 1-based entry where the line itself holds a Bundle, else 0.
    :param attributes: what the file around the record says of it (for FHIR: how its Bundle resolves urns).
    """

    position: int
    body: bytes
    entry: int = 0
    attributes: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that cannot be loaded; becomes a quarantine row.

    :param position: as in :class:`Row`; 0 when the whole file is rejected.
    :param reason: UPPER_SNAKE code.
    :param detail: what was wrong, without any text of the record.
    :param raw: the bytes as found.
    :param entry: as in :class:`Record`.
    """

    position: int
    reason: str
    detail: str = ""
    raw: bytes | None = None
    entry: int = 0


@runtime_checkable
class Parser(Protocol):
    """A kind of source.

    Instances are found by name through the plugin door and are built again on every Spark worker, so they hold
    no state and no connection.
    """

    name: str
    """Lower snake case, unique, stored in quarantine and the ledger."""
    version: str
    """Raise it when the same file would give different rows; it is part of the batch id."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """Bronze tables this parser fills; an attribute of the class will do."""

    def claims(self, file: SourceFile, head: bytes) -> bool:
        """Tell whether this parser reads the file, by its content and not by its name alone.

        :param file: the file.
        :param head: its first 64 KiB, unzipped if it is gzipped.
        """

    def parse(self, file: SourceFile, stream: BinaryIO) -> Iterator[Row | Rejected]:
        """Yield rows and rejects in file order.

        Whatever this raises rejects the rest of the file with the reason ``PARSER_FAILED``; rows already
        yielded are kept.

        :param file: the file.
        :param stream: its bytes, unzipped if it is gzipped.
        """


@runtime_checkable
class RecordParser(Protocol):
    """A source whose records Spark types itself: Python only cuts them out of the file.

    Has ``name``, ``version``, ``tables`` and ``claims`` as :class:`Parser` has.
    """

    name: str
    version: str
    tables: tuple[Table, ...]

    def claims(self, file: SourceFile, head: bytes) -> bool:
        """As :meth:`Parser.claims`."""

    def cut(self, file: SourceFile, stream: BinaryIO) -> Iterator[Record | Rejected]:
        """Yield the exact bytes of each record, in file order, and what cannot be cut as rejects.

        :param file: the file.
        :param stream: its bytes, unzipped if it is gzipped.
        """

    # A parser of JSON may also have ``unknown_fields(resource_type, shape, extensions) -> Mapping[str, str]``: paths
    # that no schema of its source names, to the JSON kind found there; and ``rescued(resource_type, body) -> str |
    # None``: what they hold in one record, for the column ``_rescued``. See airflow_lakehouse.spark.bronze.drift.

    def lift(self, records: DataFrame) -> DataFrame:
        """Type the records.

        :param records: ``file_no, position, entry, body (string), attributes (map of strings)``, and
            :data:`REJECTED`, which is not null where :meth:`cut` yielded a reject: it has no body.
        :return: the same rows with ``file_no, position, entry, body, target`` (a table name, or null for a reject),
            ``reason``, ``detail``, :data:`REJECTED` as it was, and the columns of the parser's tables that do not come
            from the load.
        """
