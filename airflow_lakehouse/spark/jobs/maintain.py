"""Maintenance: what is due for each table, done by Iceberg's own procedures, and compared with what was before."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from airflow_lakehouse.spark.engine.job_session import job_session
from airflow_lakehouse.spark.iceberg import conflicts
from airflow_lakehouse.spark.jobs.model import UNCHANGED, JobArguments, JobResult
from airflow_lakehouse.spark.maintenance import plan, procedures, verify
from airflow_lakehouse.spark.maintenance.health import health_of
from airflow_lakehouse.spark.maintenance.storage import list_stored
from airflow_lakehouse.spark.maintenance.survey import Finding, survey
from airflow_lakehouse.spark.storage.catalog import get_table, load_pyiceberg

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from airflow_lakehouse.spark.maintenance.plan import Step
    from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy

NAME = "maintain"
_log = logging.getLogger(__name__)


def run(arguments: JobArguments) -> JobResult:
    """Do what is due. Where nothing is, nothing is committed and Spark is not started.

    ``steps`` of the result: what was due, and why; what is left to an optimizer of AWS Glue, with ``left_to``.
    ``tables``: ``rows``; ``files`` and ``bytes`` a reader now opens, deletes included, and ``files_saved`` and
    ``bytes_saved`` against before; ``snapshots`` and ``snapshots_expired``; and, where something was deleted,
    ``files_freed`` and ``bytes_freed`` in storage, less what the steps themselves have written there.

    :param arguments: the profile and the policy.
    :raises MaintenanceError: when a rewrite changed what a table says.
    :raises LakehouseError: when the warehouse cannot be used, or others commit to a table all the time.
    """
    started = time.monotonic()
    catalog = load_pyiceberg(arguments.profile)
    found = survey(catalog, arguments.policy)
    due = [finding for finding in found if finding.steps]
    result = JobResult(arguments.run_id, status="complete" if due else UNCHANGED)
    result.steps = [step for finding in found for step in finding.as_dicts()]
    if due:
        with job_session(arguments.profile) as spark:
            for finding in due:
                result.tables[finding.health.name] = _maintain(spark, catalog, finding, arguments.policy)
    result.seconds["maintenance"] = round(time.monotonic() - started, 3)
    return result


def _maintain(spark: SparkSession, catalog: Catalog, finding: Finding, policy: MaintenancePolicy) -> dict[str, int]:
    before = finding.health
    for step in finding.steps:
        if step.action in plan.REWRITES:
            _log.info("%s: %s, since %s", step.table, step.action, step.reason)
            _rewrite(spark, catalog, step)
    deleted = _delete(spark, catalog, finding, policy)
    table = get_table(catalog, before.identifier)
    after = health_of(table)
    return {
        "rows": table.scan().count(),
        "files": after.data_files + after.delete_files,
        "files_saved": before.data_files + before.delete_files - after.data_files - after.delete_files,
        "bytes": after.data_bytes + after.delete_bytes,
        "bytes_saved": before.data_bytes + before.delete_bytes - after.data_bytes - after.delete_bytes,
        "snapshots": after.snapshots,
        **deleted,
    }


def _delete(spark: SparkSession, catalog: Catalog, finding: Finding, policy: MaintenancePolicy) -> dict[str, int]:
    """Do what deletes files, and return what that has freed."""
    identifier, orphans = finding.health.identifier, finding.health.orphans
    steps = [step for step in finding.steps if step.action not in plan.REWRITES]
    if not steps:
        return {"snapshots_expired": 0}
    before, expired = _stored(catalog, identifier), 0
    for step in steps:
        _log.info("%s: %s, since %s", step.table, step.action, step.reason)
        if step.action == plan.EXPIRE:
            procedures.call(spark, step)
            expired = len(step.snapshots[: procedures.EXPIRED_AT_ONCE])
        elif orphans is not None and policy.orphan_days is not None:
            procedures.remove_orphans(spark, step, orphans.found, policy.orphan_days)
    after = _stored(catalog, identifier)
    return {
        "snapshots_expired": expired,
        "files_freed": before[0] - after[0],
        "bytes_freed": before[1] - after[1],
    }


def _rewrite(spark: SparkSession, catalog: Catalog, step: Step) -> None:
    """Rewrite, and again where somebody else committed to the same files first; then compare."""
    current = get_table(catalog, step.table).current_snapshot()
    if current is None:
        return
    conflicts.retried(lambda: procedures.call(spark, step), step.table)
    verify.check_rewrites(spark, get_table(catalog, step.table), current.snapshot_id)


def _stored(catalog: Catalog, identifier: str) -> tuple[int, int]:
    found = list_stored(get_table(catalog, identifier))
    return len(found), sum(file.size for file in found)
