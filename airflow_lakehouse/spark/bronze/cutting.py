"""Files read by Python on Spark's workers: every record, row and reject of a parser as a row of one DataFrame."""

from __future__ import annotations

import heapq
import json
from base64 import b64encode
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import SourceReadError
from airflow_lakehouse.parsing import Parser, Record, RecordParser, Rejected, Row, SourceFile, load_parser
from airflow_lakehouse.spark.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from airflow_lakehouse.spark.bronze.ledger_rows import Entry

PARSER_FAILED: Final = "PARSER_FAILED"
"""The parser raised; the rest of the file is rejected."""
TRUNCATED_GZIP: Final = "TRUNCATED_GZIP"
"""The gzip stream stops before its end, or is broken."""
VANISHED: Final = "VANISHED"
"""The file was there when the drop was listed, and is not now."""
RECORD_TOO_LARGE: Final = "RECORD_TOO_LARGE"
"""The record has more than 64 MiB; the first of them are kept, all are in its file."""
GONE: Final = "the file was listed and is gone"

PIECES: Final = (
    "file_no INT, position BIGINT, entry INT, body STRING, attributes MAP<STRING, STRING>, target STRING,"
    " payload STRING, reason STRING, detail STRING, raw BINARY"
)
_BATCH_RECORDS: Final = 5_000
_SHARE_BYTES: Final = 32 * 2**20
_BATCH_BYTES: Final = 16 * 2**20
_LARGEST_BYTES: Final = 64 * 2**20
_KEPT_BYTES: Final = 2**20


def cut(spark: SparkSession, entries: list[Entry], parser: str, modules: tuple[str, ...]) -> DataFrame:
    """Read files on the workers, and spread what they hold over all of them.

    :param spark: the session.
    :param entries: the files.
    :param parser: name of their parser.
    :param modules: single-file plugins.
    """
    shares = [
        (json.dumps([[number, asdict(entry.file)] for number, entry in share]),) for share in _shares(spark, entries)
    ]
    inputs = spark.createDataFrame(shares, "share STRING").repartition(len(shares))
    pieces = inputs.mapInArrow(_reader(parser, modules), PIECES)
    # One file is one task; without this, one large gzip would leave every other core idle for the rest of the job.
    # By value rather than round robin, before which Spark would sort every record by its bytes.
    return pieces.repartition(max(4, 2 * _cores(spark)), "file_no", "position")


def _shares(spark: SparkSession, entries: list[Entry]) -> list[list[tuple[int, Entry]]]:
    """Deal the files out to tasks, the largest first, each to the task that has the least.

    A task costs a Python process: a thousand small files in a thousand tasks would take minutes to read a megabyte.
    """
    size = sum(entry.file.size for entry in entries)
    count = min(len(entries), max(_cores(spark), -(-size // _SHARE_BYTES)))
    shares: list[list[tuple[int, Entry]]] = [[] for _ in range(count)]
    heap = [(0, number) for number in range(count)]
    for number, entry in sorted(enumerate(entries), key=lambda one: -one[1].file.size):
        taken, least = heapq.heappop(heap)
        shares[least].append((number, entry))
        heapq.heappush(heap, (taken + entry.file.size, least))
    return shares


def _cores(spark: SparkSession) -> int:
    return int(spark.conf.get("spark.sql.shuffle.partitions") or 4) // 2


def _reader(
    parser_name: str, modules: tuple[str, ...]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Built here: parsers are found again on the worker, so nothing of theirs is pickled.
        parser = load_parser(parser_name, modules)
        for batch in batches:
            for row in batch.to_pylist():
                for number, file in json.loads(row["share"]):
                    yield from _batches(number, _pieces(parser, SourceFile(**file)))

    return read


def _pieces(parser: Parser | RecordParser, file: SourceFile) -> Iterator[Record | Row | Rejected]:
    """Yield what a parser finds in a file; whatever goes wrong becomes one last reject."""
    position = 0
    try:
        with files.open_unzipped(file.uri, file.etag) as stream:
            items = parser.cut(file, stream) if isinstance(parser, RecordParser) else parser.parse(file, stream)
            for item in items:
                position = item.position
                yield _bounded(item)
            failure = files.gzip_failure(stream)
        if failure:
            yield Rejected(position + 1, TRUNCATED_GZIP, f"{failure} after record {position}")
    except SourceReadError:
        # The file may be whole, or another by now. Taken for a reject, what was not read would be lost; raised, Spark
        # reads it again, or the next try lists it anew.
        raise
    except FileNotFoundError:
        yield Rejected(0, VANISHED, GONE)
    except Exception as error:  # noqa: BLE001 - an outside parser may raise anything; its file must not kill the job
        yield Rejected(position + 1, PARSER_FAILED, f"{type(error).__name__} after record {position}")


def _bounded(item: Record | Row | Rejected) -> Record | Row | Rejected:
    """Return a record, or the reject of one that is too large.

    Spark holds a dozen copies of a record while it types and writes it: one of 200 MB ends an engine of 3 GiB, and with
    it the work of everybody who uses that.
    """
    raw = item.body if isinstance(item, Record) else getattr(item, "raw", None)
    if raw is None or len(raw) <= _LARGEST_BYTES:
        return item
    detail = f"{len(raw)} bytes, of which the first {_KEPT_BYTES} are kept"
    return Rejected(item.position, RECORD_TOO_LARGE, detail, bytes(raw[:_KEPT_BYTES]), getattr(item, "entry", 0))


def _batches(file_no: int, pieces: Iterator[Record | Row | Rejected]) -> Iterator[pa.RecordBatch]:
    records: list[Record] = []
    others: list[tuple[Any, ...]] = []
    size = 0
    for piece in pieces:
        if isinstance(piece, Record):
            records.append(piece)
            size += len(piece.body)
        else:
            others.append(_columns(file_no, piece))
            size += len(others[-1][6] or "") + len(others[-1][9] or b"")
        if len(records) + len(others) >= _BATCH_RECORDS or size >= _BATCH_BYTES:
            yield from _arrow(file_no, records, others)
            records, others, size = [], [], 0
    yield from _arrow(file_no, records, others)


def _columns(file_no: int, piece: Row | Rejected) -> tuple[Any, ...]:
    if isinstance(piece, Row):
        try:
            payload = json.dumps(piece.values, default=_plain, allow_nan=False)
        except (TypeError, ValueError) as error:
            # A NaN, or a dict with keys that are no text: this row's fault, which its neighbours must not pay for.
            return _columns(file_no, Rejected(piece.position, PARSER_FAILED, f"{type(error).__name__} in a value"))
        return (file_no, piece.position, 0, None, [], piece.table, payload, None, None, None)
    return (file_no, piece.position, piece.entry, None, [], None, None, piece.reason, piece.detail, piece.raw)


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        # What Spark's JSON reader takes for a binary column.
        return b64encode(value).decode()
    return str(value)


def _arrow(file_no: int, records: list[Record], others: list[tuple[Any, ...]]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    text, binary = pa.string(), pa.binary()
    types = {
        "file_no": pa.int32(),
        "position": pa.int64(),
        "entry": pa.int32(),
        "body": text,
        "attributes": pa.map_(text, text),
        "target": text,
        "payload": text,
        "reason": text,
        "detail": text,
        "raw": binary,
    }
    if records:
        columns = {name: pa.nulls(len(records), type_) for name, type_ in types.items()}
        columns["file_no"] = pa.repeat(pa.scalar(file_no, pa.int32()), len(records))
        columns["position"] = pa.array([record.position for record in records], pa.int64())
        columns["entry"] = pa.array([record.entry for record in records], pa.int32())
        # The cutter has checked that bodies are UTF-8; viewing the bytes as text spares decoding them twice.
        columns["body"] = pa.array([record.body for record in records], binary).view(text)
        given = [list((record.attributes or {}).items()) for record in records]
        columns["attributes"] = pa.array(given, types["attributes"])
        yield pa.RecordBatch.from_pydict(columns)
    if others:
        arrays = [
            pa.array(column, type_) for column, type_ in zip(zip(*others, strict=True), types.values(), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, list(types))
