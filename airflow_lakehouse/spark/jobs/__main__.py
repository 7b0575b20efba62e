"""Run one job as a process of its own."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.exceptions import JobCancelledError, LakehouseError
from airflow_lakehouse.ocr.folder import open_folder
from airflow_lakehouse.spark.engine.log_format import LOG_FORMAT
from airflow_lakehouse.spark.jobs import JOBS, JobArguments, run_job
from airflow_lakehouse.spark.storage.files import open_raw

if TYPE_CHECKING:
    from types import FrameType


def main(given: list[str] | None = None) -> int:
    """Run a job and write what came of it.

    :param given: arguments; those of the process by default.
    :return: exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m airflow_lakehouse.spark.jobs", description=__doc__)
    parser.add_argument("name", choices=JOBS)
    parser.add_argument("--arguments", required=True, help="JSON file with the job's arguments, a path or URI")
    parser.add_argument("--result", help="JSON file for the result, a path or URI; standard output by default")
    options = parser.parse_args(given)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    outcome: dict[str, Any]
    signal.signal(signal.SIGTERM, _cancel)
    try:
        with open_raw(options.arguments) as file:
            arguments = JobArguments.from_dict(json.load(file))
        outcome, code = run_job(options.name, arguments).as_dict(), 0
    except LakehouseError as error:
        outcome = {"status": "failed", "error": str(error), "error_type": type(error).__name__}
        code = error.exit_code
        logging.getLogger(__name__).error("%s: %s", type(error).__name__, error)  # noqa: TRY400 - the cause may quote data
    _write(outcome, options.result)
    return code


def _cancel(number: int, frame: FrameType | None) -> None:
    """Stop what runs on the server, which would otherwise go on without us, and end the job."""
    del number, frame
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        session.interruptAll()
    raise JobCancelledError("the job was cancelled", remedy="clear the task to run it again")


def _write(outcome: dict[str, Any], target: str | None) -> None:
    text = json.dumps(outcome)
    if target is None:
        sys.stdout.write(text + "\n")
        return
    # A folder's files appear whole: whoever polls for the result must not read half of it.
    folder, slash, name = target.rpartition("/")
    open_folder(folder or slash or ".").write(name, text.encode())


if __name__ == "__main__":
    sys.exit(main())
