"""The jobs: the same from the command line, from an operator and from ``spark_scripts``.

``python -m airflow_lakehouse.spark.jobs NAME --arguments FILE --result FILE`` runs one and writes its result, or why
there is none, as JSON.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.spark.jobs.failures import as_lakehouse_error
from airflow_lakehouse.spark.jobs.model import JobArguments, JobResult

if TYPE_CHECKING:
    from types import ModuleType

JOBS: Final = ("raw_to_bronze", "bronze_to_silver", "replay_quarantine", "maintain")
"""Names of the jobs; each is a module here with ``run(arguments) -> JobResult``."""

__all__ = ["JOBS", "JobArguments", "JobResult", "run_job"]


def run_job(name: str, arguments: JobArguments) -> JobResult:
    """Run a job in this process.

    :param name: one of :data:`JOBS`.
    :param arguments: what it is given.
    :raises ConfigurationError: when there is no such job.
    :raises LakehouseError: whatever else goes wrong, Spark's own errors included.
    """
    module = _module(name)
    try:
        result: JobResult = module.run(arguments)
    except Exception as error:
        raise as_lakehouse_error(name, error) from error
    return result


def _module(name: str) -> ModuleType:
    if name not in JOBS:
        raise ConfigurationError(f"no job is called {name!r}", legal=", ".join(JOBS))
    return importlib.import_module(f"{__name__}.{name}")
