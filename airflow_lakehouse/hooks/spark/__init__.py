"""Where Spark jobs run: runners, all alike behind :class:`~airflow_lakehouse.hooks.spark.base.SparkRunner`."""

from __future__ import annotations

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.spark.base import JobHandle, JobState, JobStatus, SparkRunner
from airflow_lakehouse.hooks.spark.local import LocalRunner

__all__ = ["JobHandle", "JobState", "JobStatus", "LocalRunner", "SparkRunner", "runner_named"]


def runner_named(name: str) -> SparkRunner:
    """Return the runner a profile or a job's handle names.

    :param name: such as ``local``.
    :raises ConfigurationError: when there is no such runner.
    """
    if name != LocalRunner.name:
        raise ConfigurationError(f"runner {name!r} is not known", legal=LocalRunner.name)
    return LocalRunner()
