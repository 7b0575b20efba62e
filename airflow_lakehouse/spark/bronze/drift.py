"""Fields that no schema names: counted in ``ops.unknown_fields``, set apart in ``_rescued``; no load fails for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.parsing import load_parser
from airflow_lakehouse.spark.bronze import outlines
from airflow_lakehouse.spark.iceberg import conflicts
from airflow_lakehouse.spark.storage.catalog import find_table
from airflow_lakehouse.tables import ops
from airflow_lakehouse.tables.bronze import RESCUED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable
    from pyspark.sql import Column, DataFrame, Row

    from airflow_lakehouse.parsing import Parser, RecordParser

_BATCH: Final = "lakehouse.batch-id"
_LOOK_AT: Final = ("VARIANT", "extension: ")
# A url beside a value or parts is an extension's; that of an attachment, a profile or a source has other neighbours.
_EXTENSION_URL: Final = r'"url"\s*:\s*"([^"?#\s]{1,200})[^"]*"\s*,\s*"(?:value[A-Z]|extension")'
RECORD: Final = ("file_no", "position", "entry")
"""What identifies a staged record."""
_RECORD_TYPES: Final = "file_no INT, position BIGINT, entry INT"
Key = tuple[str, str, str]
"""Source system, resource type, path."""


@dataclass
class Drift:
    """What a load found.

    :param records: key to records in which it was found.
    :param kinds: key to the JSON kind found first.
    """

    records: Counter[Key] = field(default_factory=Counter)
    kinds: dict[Key, str] = field(default_factory=dict)

    def add(
        self, parser: Parser | RecordParser, staged: DataFrame, odd: Sequence[OddType], source_systems: list[str]
    ) -> None:
        """Count what a parser's records have that none of its schemas names.

        :param parser: who read them.
        :param staged: its records, with ``file_no, resource_type, body, reason``.
        :param odd: from :func:`odd_types`.
        :param source_systems: who sent each file.
        """
        from pyspark.sql import functions as F

        if not odd:
            return
        records = _of_types(staged, odd).select("file_no", "resource_type", outlines.outline(), _extensions())
        alike = records.groupBy(*records.columns).agg(F.count("*").alias("records"))
        shape = F.schema_of_variant(outlines.drawn("outline")).alias("shape")
        shapes = alike.select("file_no", "resource_type", shape, "extensions", "records")
        grouped = shapes.groupBy("file_no", "resource_type", "shape", "extensions").agg(F.sum("records").alias("count"))
        for row in grouped.toLocalIterator():
            found = parser.unknown_fields(row["resource_type"], row["shape"], row["extensions"])  # type: ignore[union-attr]
            for path, kind in found.items():
                key = (source_systems[row["file_no"]], row["resource_type"], path)
                self.records[key] += row["count"]
                self.kinds.setdefault(key, kind)


@dataclass(frozen=True)
class OddType:
    """A resource type of which some record has something that no schema names.

    :param resource_type: the type.
    :param target: table its records go to.
    """

    resource_type: str
    target: str


def survey(parser: Parser | RecordParser, staged: DataFrame) -> list[Row]:
    """Return ``count`` for each ``file_no, target, reason``, and, in one pass, what may be unknown in the records.

    For a parser that names unknown fields there are also ``resource_type``, by which rows are told apart, too,
    ``shaped`` records, the ``shape`` of these together, and how many of them are ``shapeless``. The shape is made of
    their outlines, of which there are few: to read each record again would cost more than to load it.

    :param parser: who read the records.
    :param staged: its records.
    """
    from pyspark.sql import functions as F

    by = ["file_no", "target", "reason"]
    if not hasattr(parser, "unknown_fields"):
        counted: list[Row] = staged.groupBy(*by).count().collect()
        return counted
    by.append("resource_type")
    records = staged.select(*by, F.when(_is_resource(staged), outlines.outline()).alias("outline"))
    alike = records.groupBy(*records.columns).count().withColumn("document", outlines.drawn("outline"))
    shaped = F.when(F.col("outline").isNotNull(), F.col("count"))
    told: list[Row] = (
        alike.groupBy(*by)
        .agg(
            F.sum("count").alias("count"),
            F.coalesce(F.sum(shaped), F.lit(0)).alias("shaped"),
            F.schema_of_variant_agg("document").alias("shape"),
            F.count_if(F.col("outline").isNotNull() & F.col("document").isNull()).alias("shapeless"),
        )
        .collect()
    )
    return told


def odd_types(parser: Parser | RecordParser, surveyed: Sequence[Row]) -> list[OddType]:
    """Return the resource types in which something may be unknown.

    Where the shape of a type's records holds nothing odd, neither does any record; a field of several kinds, and
    extensions, whose names are values, must be looked at. So must records that have no shape: they are too large.

    :param parser: who read the records; one that names no unknown fields has none.
    :param surveyed: from :func:`survey`.
    """
    unknown = getattr(parser, "unknown_fields", None)
    if unknown is None:
        return []
    found = {
        OddType(row["resource_type"], row["target"])
        for row in surveyed
        if row["shaped"]
        and (
            row["shapeless"]
            or any(word in row["shape"] for word in _LOOK_AT)
            or unknown(row["resource_type"], row["shape"], None)
        )
    }
    return sorted(found, key=lambda one: one.resource_type)


def _of_types(staged: DataFrame, odd: Sequence[OddType]) -> DataFrame:
    from pyspark.sql import functions as F

    return _resources(staged).where(F.col("resource_type").isin([one.resource_type for one in odd]))


def _resources(staged: DataFrame) -> DataFrame:
    """Return the records that are what their type says: no rejects, and no entries that only tell of a deletion."""
    return staged.where(_is_resource(staged))


def _is_resource(staged: DataFrame) -> Column:
    from pyspark.sql import functions as F

    told = ~F.col("deleted") if "deleted" in staged.columns else F.lit(True)
    return F.col("reason").isNull() & told


def rescued(parser: str, modules: tuple[str, ...], staged: DataFrame, odd: Sequence[OddType]) -> DataFrame:
    """Return what is odd about the records of some types, as their parser tells it.

    Python reads these records once more, so only types are read in which there is something.

    :param parser: name of the parser; it has ``rescued``.
    :param modules: single-file plugins the workers must load to find it.
    :param staged: its records.
    :param odd: from :func:`odd_types`.
    :return: :data:`RECORD` and ``_rescued`` of the records that have any.
    """
    records = _of_types(staged, odd).select(*RECORD, "resource_type", "body")
    return records.mapInArrow(_rescuer(parser, modules), f"{_RECORD_TYPES}, `{RESCUED.name}` STRING")


def _rescuer(
    parser_name: str, modules: tuple[str, ...]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.compute as pc

        # Found again on the worker, so nothing of the parser's is pickled.
        parser: Any = load_parser(parser_name, modules)
        for batch in batches:
            pairs = zip(batch.column("resource_type"), batch.column("body"), strict=True)
            texts = pa.array([parser.rescued(type_.as_py(), body.as_py()) for type_, body in pairs], pa.string())
            whole = batch.select(list(RECORD)).append_column(RESCUED.name, texts)
            yield whole.filter(pc.is_valid(texts))

    return read


def _extensions() -> Column:
    from pyspark.sql import functions as F

    urls = F.regexp_extract_all("body", F.lit(_EXTENSION_URL), F.lit(1))
    # In an order of its own, or each order in which a source writes them would be another shape.
    found = F.array_join(F.array_sort(F.array_distinct(urls)), " ")
    return F.when(F.col("body").contains('"extension"'), found).alias("extensions")


def record(catalog: Catalog, found: Drift, batch_id: str) -> None:
    """Add a load's counts to those of the loads before; a load that is done again adds nothing.

    :param catalog: the catalog.
    :param found: what it found.
    :param batch_id: the batch, stamped into the commit.
    """
    if found.records:
        # Another load may count at the same time: its counts are read, and ours added to them.
        conflicts.retried(lambda: _add(catalog, found, batch_id), ops.UNKNOWN_FIELDS.name)


def _add(catalog: Catalog, found: Drift, batch_id: str) -> None:
    table = find_table(catalog, ops.UNKNOWN_FIELDS.identifier)
    if table is not None and not _has_counted(table, batch_id):
        _upsert(table, found, batch_id)


def _has_counted(table: IcebergTable, batch_id: str) -> bool:
    from pyiceberg.table.snapshots import ancestors_of

    # Ancestors alone: what a rollback took away is counted again when it comes again.
    return any(
        snapshot.summary is not None and snapshot.summary.additional_properties.get(_BATCH) == batch_id
        for snapshot in ancestors_of(table.current_snapshot(), table.metadata)
    )


def _upsert(table: IcebergTable, found: Drift, batch_id: str) -> None:
    import pyarrow as pa

    key = ops.UNKNOWN_FIELDS.key
    known = {tuple(row[name] for name in key): row for row in table.scan().to_arrow().to_pylist()}
    now = datetime.now(UTC)
    rows = []
    for one, records in sorted(found.records.items()):
        fresh = {**dict(zip(key, one, strict=True)), "example_type": found.kinds[one], "first_seen": now}
        row = known.get(one, fresh | {"occurrences": 0})
        rows.append(row | {"occurrences": row["occurrences"] + records})
    wanted = pa.Table.from_pylist(rows, schema=table.schema().as_arrow())
    table.upsert(wanted, join_cols=list(key), snapshot_properties={_BATCH: batch_id})
