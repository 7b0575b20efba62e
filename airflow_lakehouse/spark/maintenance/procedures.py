"""The steps of a plan as CALLs of Iceberg's Spark procedures.

https://iceberg.apache.org/docs/latest/spark-procedures/ says what each takes and returns.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.profile import CATALOG_NAME
from airflow_lakehouse.spark.maintenance import plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

    from airflow_lakehouse.spark.maintenance.plan import Step
    from airflow_lakehouse.spark.maintenance.storage import StoredFile

EXPIRED_AT_ONCE: Final = 2_000
"""Snapshots that go in one run, the oldest: with more, their ids make the statement itself a burden."""
_VIEW: Final = "lakehouse_orphans"


def call(spark: SparkSession, step: Step) -> None:
    """Run a step.

    :param spark: the session.
    :param step: any but removing orphans.
    """
    spark.sql(statement(step)).collect()


def remove_orphans(spark: SparkSession, step: Step, found: Sequence[StoredFile], days: float) -> None:
    """Remove files that nothing names.

    Only files are removed that were found from the metadata here and that Iceberg, which reads it again, finds to be
    named by nothing, too: neither's word alone deletes anything.

    :param spark: the session.
    :param step: removing orphans.
    :param found: the orphans.
    :param days: age below which Iceberg is to leave a file, whatever it is.
    """
    rows = [(file.uri, file.modified_at) for file in found]
    spark.createDataFrame(rows, "file_path STRING, last_modified TIMESTAMP").createOrReplaceTempView(_VIEW)
    try:
        spark.sql(statement(step, datetime.now(UTC) - timedelta(days=days))).collect()
    finally:
        spark.catalog.dropTempView(_VIEW)


def statement(step: Step, older_than: datetime | None = None) -> str:
    """Return the CALL of a step.

    :param step: what to do.
    :param older_than: for removing orphans: files written later stay, UTC.
    """
    given = [f"table => '{step.table}'", *(["strategy => 'sort'"] if step.is_sorted else [])]
    if step.options:
        words = ", ".join(f"'{word}'" for option in step.options for word in option)
        given.append(f"options => map({words})")
    if step.action == plan.EXPIRE:
        # These and no other: by age alone, snapshots would go that a consumer still needs.
        ids = ", ".join(map(str, step.snapshots[:EXPIRED_AT_ONCE]))
        given += ["older_than => TIMESTAMP '1970-01-01 00:00:00'", f"snapshot_ids => array({ids})"]
    if step.action == plan.ORPHANS and older_than is not None:
        given += [f"older_than => TIMESTAMP '{older_than:%Y-%m-%d %H:%M:%S}'", f"file_list_view => '{_VIEW}'"]
    return f"CALL {CATALOG_NAME}.system.{step.action}({', '.join(given)})"
