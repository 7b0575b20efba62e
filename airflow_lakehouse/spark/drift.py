"""Counting fields that no schema names, into ``ops.unknown_fields``: a load never fails for them, and says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.catalog import find_table
from airflow_lakehouse.tables import ops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable
    from pyspark.sql import Column, DataFrame

    from airflow_lakehouse.parsing import Parser, RecordParser

_BATCH: Final = "lakehouse.batch-id"
_ATTEMPTS: Final = 10
_LOOK_AT: Final = ("VARIANT", "extension: ")
# A url beside a value or parts is an extension's; that of an attachment, a profile or a source has other neighbours.
_EXTENSION_URL: Final = r'"url"\s*:\s*"([^"?#\s]{1,200})[^"]*"\s*,\s*"(?:value[A-Z]|extension")'
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

    def add(self, parser: Parser | RecordParser, staged: DataFrame, source_systems: list[str]) -> None:
        """Count what a parser's records have that none of its schemas names.

        :param parser: who read them; one that names no unknown fields is passed over.
        :param staged: its records, with ``file_no, resource_type, body, reason``.
        :param source_systems: who sent each file.
        """
        from pyspark.sql import functions as F

        unknown = getattr(parser, "unknown_fields", None)
        if unknown is None:
            return
        records = staged.where(F.col("reason").isNull()).withColumn("document", F.try_parse_json("body"))
        odd = _odd_types(records, unknown)
        if not odd:
            return
        shapes = records.where(F.col("resource_type").isin(odd)).select(
            "file_no", "resource_type", F.schema_of_variant("document").alias("shape"), _extensions()
        )
        grouped = shapes.groupBy(*shapes.columns).count()
        for row in grouped.toLocalIterator():
            found = unknown(row["resource_type"], row["shape"], row["extensions"])
            for path, kind in found.items():
                key = (source_systems[row["file_no"]], row["resource_type"], path)
                self.records[key] += row["count"]
                self.kinds.setdefault(key, kind)


def _odd_types(records: DataFrame, unknown: Callable[[str, str | None, str | None], Mapping[str, str]]) -> list[str]:
    """Return the resource types in which something may be unknown.

    All records of a type have one shape together, which costs a third of a shape for each. Where it holds nothing odd,
    neither does any record; a field of several kinds, and extensions, whose names are values, must be looked at.
    """
    from pyspark.sql import functions as F

    together = records.groupBy("resource_type").agg(F.schema_of_variant_agg("document").alias("shape")).collect()
    return [
        row["resource_type"]
        for row in together
        if any(word in row["shape"] for word in _LOOK_AT) or unknown(row["resource_type"], row["shape"], None)
    ]


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
    from pyiceberg.exceptions import CommitFailedException

    if not found.records:
        return
    for attempt in range(1, _ATTEMPTS + 1):
        table = find_table(catalog, ops.UNKNOWN_FIELDS.identifier)
        if table is None or _has_counted(table, batch_id):
            return
        try:
            _upsert(table, found, batch_id)
        except CommitFailedException:
            # Another load counted at the same time: its counts are read, and ours added to them.
            if attempt == _ATTEMPTS:
                raise
        else:
            return


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
