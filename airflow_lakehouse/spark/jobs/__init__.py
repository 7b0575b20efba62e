"""The jobs: the same from the command line, from an operator and from ``spark_scripts``.

``python -m airflow_lakehouse.spark.jobs NAME --arguments FILE --result FILE`` runs one and writes its result, or why
there is none, as JSON.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.spark.iceberg import run_tags
from airflow_lakehouse.spark.iceberg.heads import heads, moved
from airflow_lakehouse.spark.jobs.failures import as_lakehouse_error
from airflow_lakehouse.spark.jobs.model import UNCHANGED, JobArguments, JobResult
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import checkpoint

if TYPE_CHECKING:
    from types import ModuleType

_TAGGED: Final = ("raw_to_bronze", "bronze_to_silver", "replay_quarantine")
"""Jobs that change what tables say. Maintenance does not, and its DAG's runs may be called as those of another."""
JOBS: Final = (*_TAGGED, "maintain", "user_code")
"""Names of the jobs; each is a module here with ``run(arguments) -> JobResult``."""

__all__ = ["JOBS", "UNCHANGED", "JobArguments", "JobResult", "run_job"]


def run_job(name: str, arguments: JobArguments) -> JobResult:
    """Run a job in this process.

    :param name: one of :data:`JOBS`.
    :param arguments: what it is given.
    :raises ConfigurationError: when there is no such job.
    :raises LakehouseError: whatever else goes wrong, Spark's own errors included.
    """
    module = _module(name)
    try:
        before = heads(arguments.profile, arguments.tables)
        result: JobResult = module.run(arguments)
        result.snapshots = moved(before, heads(arguments.profile, arguments.tables))
        if name in _TAGGED:
            _tag(arguments, result)
    except Exception as error:
        raise as_lakehouse_error(name, error) from error
    return result


def _tag(arguments: JobArguments, result: JobResult) -> None:
    """Tag what the job left. One that fails tags nothing: what it left half done is nothing to go back to."""
    catalog = load_pyiceberg(arguments.profile)
    # A job that was killed after its last commit finds nothing to do when it is tried again, and was no less a run.
    if result.status != UNCHANGED or run_tags.has_committed(catalog, arguments.run_id):
        run_tags.tag_run(catalog, arguments.run_id)
        checkpoint(arguments.profile)


def _module(name: str) -> ModuleType:
    if name not in JOBS:
        raise ConfigurationError(f"no job is called {name!r}", legal=", ".join(JOBS))
    return importlib.import_module(f"{__name__}.{name}")
