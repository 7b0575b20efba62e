"""What is in quarantine now, read through PyIceberg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.evolve import check_current
from airflow_lakehouse.spark.storage.catalog import get_table
from airflow_lakehouse.tables import bronze, ops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.catalog import Catalog
    from pyiceberg.expressions import BooleanExpression


def live_rejects(catalog: Catalog, reason: str | None, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Return rejects of file versions that no newer version has replaced.

    :param catalog: the catalog.
    :param reason: only this one; None for all.
    :param fields: columns to read, those of :data:`airflow_lakehouse.tables.bronze.FILE_KEY` among them.
    :raises TableNotFoundError: when the warehouse has no quarantine yet.
    :raises ConfigurationError: when another release has written it, and no job of this one has run.
    """
    from pyiceberg.expressions import AlwaysTrue, EqualTo, Reference
    from pyiceberg.expressions.literals import literal

    wanted: BooleanExpression = AlwaysTrue()
    if reason:
        wanted = EqualTo(term=Reference("reason"), value=literal(reason))
    for one in (bronze.QUARANTINE, ops.INGESTED_FILES):
        check_current(catalog, one)
    table = get_table(catalog, bronze.QUARANTINE.identifier)
    rows = table.scan(row_filter=wanted, selected_fields=tuple(fields)).to_arrow().to_pylist()
    dead = set(Ledger(catalog).dead_versions())
    return [row for row in rows if (row["source_uri"], row["source_etag"]) not in dead]
