"""Properties and MERGE text of a table, derived from its definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.profile import CATALOG_NAME
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_lakehouse.tables import Table

_POLICY: Final = MaintenancePolicy()
_PROPERTIES: Final = {
    # Version 2: PyIceberg, Athena and the sensors read it; it has the row-level deletes a guarded MERGE needs.
    "format-version": "2",
    # Merge-on-read keeps a guarded MERGE an append: it adds files and rewrites none.
    "write.merge.mode": "merge-on-read",
    "write.delete.mode": "merge-on-read",
    "write.update.mode": "merge-on-read",
    "write.parquet.compression-codec": "zstd",
    # Every commit writes a new metadata file; unbounded, reading them becomes the cost of a run.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
    "commit.retry.num-retries": "10",
    # Iceberg's half gibibyte is more than most tables here ever hold: all their files would count as small.
    "write.target-file-size-bytes": str(128 * 2**20),
    # For whoever else expires snapshots. It does not know what consumers need; our own maintenance does.
    "history.expire.max-snapshot-age-ms": str(round(_POLICY.snapshot_days * 86_400_000)),
    "history.expire.min-snapshots-to-keep": str(_POLICY.keep_snapshots),
}

_BRONZE_PROPERTIES: Final = {
    # A drop is one day or a few. Gathering each day's rows in one task would write a day on one core.
    "write.distribution-mode": "none",
    "write.merge.distribution-mode": "none",
}


def qualified(table: Table) -> str:
    """Return the name of a table as Spark SQL wants it.

    :param table: the table.
    """
    return f"{CATALOG_NAME}.{table.namespace}.{table.name}"


def on_branch(table: Table, branch: str) -> str:
    """Return the name of a branch of a table as Spark SQL wants it.

    :param table: the table.
    :param branch: the branch.
    """
    return f"{qualified(table)}.`branch_{branch}`"


def properties(table: Table) -> dict[str, str]:
    """Return the Iceberg properties a table is created with.

    :param table: the table.
    """
    return {**_PROPERTIES, **(_BRONZE_PROPERTIES if table.namespace == "bronze" else {})}


def insert_new_statement(table: Table, source: str, prune: str = "true") -> str:
    """Return the guarded MERGE that adds the rows whose key the table does not have.

    ``WHEN MATCHED AND false`` is the guard. Without it Spark turns an insert-only MERGE into a plain append, which
    no concurrent commit can conflict with: two runs over the same files would both commit.

    :param table: the target.
    :param source: name of a view with the table's columns, one row a key.
    :param prune: predicate on ``t`` with literals; it bounds both what is scanned and what counts as a conflict.
    """
    return (
        f"MERGE INTO {qualified(table)} AS t USING {source} AS s ON {prune} AND {_same(table.key)}\n"
        "WHEN MATCHED AND false THEN DELETE\n"
        f"WHEN NOT MATCHED THEN INSERT {_insert(table)}"
    )


def conform_statement(table: Table, source: str, prune: str = "true", branch: str | None = None) -> str:
    """Return the MERGE that makes the keys of the source look as the source says.

    A row to insert whose key is there by now, because another run was first, takes the place of what is there: passed
    over, it would be lost although the watermark says that it was seen.

    :param table: the target.
    :param source: name of a view with the table's columns and ``_operation``: ``delete``, ``update`` or ``insert``.
    :param prune: as for :func:`insert_new_statement`.
    :param branch: branch that is written, and compared with; None for main.
    """
    target = on_branch(table, branch) if branch else qualified(table)
    updates = ", ".join(f"t.`{name}` = s.`{name}`" for name in table.column_names)
    return (
        f"MERGE INTO {target} AS t USING {source} AS s ON {prune} AND {_same(table.key)}\n"
        "WHEN MATCHED AND s._operation = 'delete' THEN DELETE\n"
        f"WHEN MATCHED AND s._operation <> 'delete' THEN UPDATE SET {updates}\n"
        f"WHEN NOT MATCHED AND s._operation <> 'delete' THEN INSERT {_insert(table)}"
    )


def any_of(column: str, literals: Iterable[str | None]) -> str:
    """Return a predicate on the target's column, with literals; null is a legal value.

    :param column: column of the target.
    :param literals: SQL literals; None for null.
    """
    values = set(literals)
    known = sorted(value for value in values if value is not None)
    parts = [f"t.`{column}` IN ({', '.join(known)})"] if known else []
    if None in values:
        parts.append(f"t.`{column}` IS NULL")
    return f"({' OR '.join(parts)})" if parts else "false"


def _insert(table: Table) -> str:
    names = ", ".join(f"`{name}`" for name in table.column_names)
    values = ", ".join(f"s.`{name}`" for name in table.column_names)
    return f"({names}) VALUES ({values})"


def _same(key: tuple[str, ...]) -> str:
    return " AND ".join(f"t.`{name}` = s.`{name}`" for name in key)
