"""A job of the user's own: a function or a script, with a session on the lakehouse."""

from __future__ import annotations

import time
import traceback
from typing import Final

from airflow_lakehouse.exceptions import ConfigurationError, JobFailedError, LakehouseError
from airflow_lakehouse.spark.engine.job_session import job_session
from airflow_lakehouse.spark.engine.session import stamp
from airflow_lakehouse.spark.jobs.failures import kind_of, known_error
from airflow_lakehouse.spark.jobs.model import JobArguments, JobResult
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.spark.user_code import UserCode, place_of

NAME: Final = "user_code"


def run(arguments: JobArguments) -> JobResult:
    """Run the code. ``values`` of the result: what it reported.

    :param arguments: the profile and the code.
    :raises ConfigurationError: when there is no code, or it cannot be found.
    :raises JobFailedError: when it raises anything that is no error of this package.
    """
    started = time.monotonic()
    code = arguments.code
    if code is None:
        raise ConfigurationError(f"job {NAME!r} was given no code", legal="code with a function or a script")
    create_local_catalog(arguments.profile)
    result = JobResult(arguments.run_id)
    with job_session(arguments.profile) as spark:
        stamp(spark, {"run-id": arguments.run_id, "job": code.name})
        try:
            result.values = code.run(spark)
        except (Exception, SystemExit) as error:
            # Here its author finds all of it. What goes further is no more than its class and place: the text of an
            # error quotes values.
            traceback.print_exc()
            raise _failure(code, error) from error
    result.seconds["code"] = round(time.monotonic() - started, 3)
    return result


def _failure(code: UserCode, error: BaseException) -> LakehouseError:
    place = place_of(error)
    return known_error(code.name, error) or JobFailedError(
        f"{code.name} raised {kind_of(error)}{f' ({place})' if place else ''}",
        remedy="read the job's log; an error of airflow_lakehouse.exceptions is passed on with its text",
    )
