"""Whether a rewrite has kept what a table says; back to what was where it has not.

A rewrite commits a snapshot of the kind ``replace``. It is compared with the snapshot it was made from, not with what
the table was when the step began: what others commit meanwhile is in both, or in neither.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import MaintenanceError
from airflow_lakehouse.profile import CATALOG_NAME
from airflow_lakehouse.spark.iceberg import pinned, schema

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from pyiceberg.partitioning import PartitionField
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot
    from pyspark.sql import SparkSession

_ROWS: Final = "the number of rows"
"""Stands beside the names of columns; no column of ours is called so."""
_MAX_LITERALS: Final = 64


def check_rewrites(spark: SparkSession, table: IcebergTable, since: int) -> None:
    """Compare every rewrite that a table has had since a snapshot with what it was made from.

    Of each, row count and, column by column, the sum of the hashes of all values, in the partitions whose files were
    rewritten; the other files are the same in both.

    :param spark: the session.
    :param table: as it is now.
    :param since: id of the snapshot before.
    :raises MaintenanceError: when one says something else; the table is back at what was before it.
    """
    for old, new in _rewrites(table, since):
        differing = _difference(spark, table, old, new)
        if differing:
            _undo(table, old, new, differing)


def _rewrites(table: IcebergTable, since: int) -> Iterator[tuple[Snapshot, Snapshot]]:
    """Yield what each unbroken row of rewrites began from and led to, oldest first."""
    from pyiceberg.table.snapshots import Operation

    line = []
    at = table.current_snapshot()
    while at is not None and at.snapshot_id != since:
        line.append(at)
        at = table.snapshot_by_id(at.parent_snapshot_id) if at.parent_snapshot_id is not None else None
    if at is None:
        if table.snapshot_by_id(since) is None:
            raise MaintenanceError(
                f"rewriting {'.'.join(table.name()[-2:])} could not be compared: snapshot {since} is gone",
                remedy="let nobody else expire snapshots of the last hours",
            )
        # Somebody has rolled the table back to what was before: no rewrite of ours is left in it.
        return
    start = before = at
    for one in reversed(line):
        is_rewrite = one.summary is not None and one.summary.operation is Operation.REPLACE
        if not is_rewrite:
            if start is not before:
                yield start, before
            start = one
        before = one
    if start is not before:
        yield start, before


def _difference(spark: SparkSession, table: IcebergTable, old: Snapshot, new: Snapshot) -> list[str]:
    """Return what differs between two snapshots: names of columns, or that there are more or fewer rows."""
    before, after = _files(table, old), _files(table, new)
    moved = before.keys() ^ after.keys()
    if not moved:
        return []
    places = {(before | after)[path] for path in moved}
    where = _predicate(table, places)
    told = [_contents(spark, table, snapshot, where) for snapshot in (old, new)]
    # A column that somebody added in between is in one alone; compaction has no part in that.
    return sorted(name for name in told[0].keys() & told[1].keys() if told[0][name] != told[1][name])


def _files(table: IcebergTable, snapshot: Snapshot) -> dict[str, tuple[int, Hashable]]:
    """Return the files of a snapshot, deletes included, each with its partition."""
    return {
        file.file_path: (manifest.partition_spec_id, tuple(file.partition[at] for at in range(len(file.partition))))
        for manifest in snapshot.manifests(table.io)
        for file in (entry.data_file for entry in manifest.fetch_manifest_entry(table.io))
    }


def _contents(spark: SparkSession, table: IcebergTable, snapshot: Snapshot, where: str) -> dict[str, Any]:
    """Return the row count, and a sum of hashes for each column: no order of rows or files changes it."""
    from pyspark.sql import functions as F

    # Under the same names and types, whatever a release has changed since the older of the two.
    rows = pinned.rows(spark, table, snapshot.snapshot_id).alias("t").where(where)
    sums = []
    for field in rows.schema.fields:
        # Maps have no hash in Spark; their JSON has.
        value = F.to_json(f"`{field.name}`") if "map<" in field.dataType.simpleString() else F.col(f"`{field.name}`")
        sums.append(F.sum(F.xxhash64(value).cast("decimal(28,0)")).alias(field.name))
    (found,) = rows.agg(F.count(F.lit(1)), *sums).collect()
    return dict(zip((_ROWS, *rows.columns), found, strict=True))


def _predicate(table: IcebergTable, places: set[tuple[int, Hashable]]) -> str:
    """Return a condition that every row of some partitions meets, for the least there is to read."""
    (spec_id, *others) = {spec for spec, _ in places}
    fields = table.specs()[spec_id].fields
    if others or len(fields) != 1 or len(places) > _MAX_LITERALS:
        return "true"
    (field,) = fields
    values = [values[0] for _, values in places]  # type: ignore[index]
    return _one_of(table, field, values)


def _one_of(table: IcebergTable, field: PartitionField, values: list[Any]) -> str:
    from pyiceberg.transforms import BucketTransform, IdentityTransform
    from pyiceberg.types import DateType

    if table.schema().find_column_name(field.source_id) is None:
        return "true"
    column = table.schema().find_field(field.source_id)
    if isinstance(field.transform, IdentityTransform) and isinstance(column.field_type, DateType):
        days = [None if value is None else _day(value) for value in values]
        return schema.any_of(column.name, days)
    if isinstance(field.transform, BucketTransform) and None not in values:
        bucket = f"{CATALOG_NAME}.system.bucket({field.transform.num_buckets}, t.`{column.name}`)"
        return f"{bucket} IN ({', '.join(map(str, sorted(values)))})"
    return "true"


def _day(value: int | date) -> str:
    day = value if isinstance(value, date) else date(1970, 1, 1) + timedelta(days=value)
    return f"DATE'{day.isoformat()}'"


def _undo(table: IcebergTable, old: Snapshot, new: Snapshot, differing: list[str]) -> None:
    """Go back to the snapshot before, where nobody has committed since, and raise in either case."""
    said = f"rewriting {'.'.join(table.name()[-2:])} changed {', '.join(differing)} (snapshot {new.snapshot_id})"
    if not _roll_back(table, old, new):
        raise MaintenanceError(
            f"{said}; others have committed to it since, so it was not rolled back",
            remedy=f"stop what writes to it, and look at snapshot {old.snapshot_id}, which is whole",
        )
    raise MaintenanceError(
        f"{said}; it was rolled back to snapshot {old.snapshot_id}",
        remedy="leave this table out of the policy and report it; nothing is lost",
    )


def _roll_back(table: IcebergTable, old: Snapshot, new: Snapshot) -> bool:
    from pyiceberg.exceptions import CommitFailedException

    current = table.current_snapshot()
    if current is None or current.snapshot_id != new.snapshot_id:
        # Going back would take with it what others have committed.
        return False
    try:
        # The catalog compares the snapshot we looked at with its own: somebody may commit at this moment.
        with table.manage_snapshots() as change:
            change.rollback_to_snapshot(old.snapshot_id)
    except CommitFailedException:
        return False
    return True
