"""The first of this package that runs on a remote engine: it looks whether the rest can, and runs a job.

Up to the check of Python's version, nothing here may need a newer one: EMR 7 starts jobs with Python 3.9 unless it is
given another.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
from typing import TYPE_CHECKING

from airflow_lakehouse.spark.engine.log_format import LOG_FORMAT

if TYPE_CHECKING:
    from collections.abc import Sequence

PYTHON = (3, 11)
"""The oldest Python the package runs on."""
NEEDED = ("pluggy", "pyarrow", "pyiceberg")
"""Modules a job needs beside pyspark and the standard library; the bundle brings the first."""

_REMEDY = (
    "give the engine a Python of its own with 'pyiceberg[pyarrow]': on EMR Serverless an archive made by venv-pack"
    " (python_archive of the runner's options), on Glue packages or a zip of wheels in S3 (python_modules)"
)


def run(given: Sequence[str]) -> None:
    """Run a job in the process that spark-submit or Glue has started, and end it with the job's exit code if not 0.

    After a job that succeeded it just returns: Glue takes any ``SystemExit`` for a failure.

    :param given: ``--job NAME --arguments URI --result URI``, among what the engine adds.
    """
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    lack = lacking()
    if lack:
        # As jobs log their errors: of a job that can write no result, the log is all that there is to read.
        logging.getLogger(__name__).error("SetupError: %s. Remedy: %s.", lack, _REMEDY)
        sys.exit(2)
    from airflow_lakehouse.spark.engine.job_session import CLUSTER_VARIABLE
    from airflow_lakehouse.spark.jobs.__main__ import main

    os.environ[CLUSTER_VARIABLE] = "1"
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("job", "arguments", "result"):
        parser.add_argument(f"--{name}", required=True)
    options, _ = parser.parse_known_args(given)
    code = main([options.job, "--arguments", options.arguments, "--result", options.result])
    if code:
        sys.exit(code)


def lacking(version: tuple[int, ...] = sys.version_info[:2]) -> str:
    """Return what the package lacks to run in this process, as a sentence; empty where it lacks nothing.

    :param version: Python's.
    """
    if version < PYTHON:
        return f"jobs need Python {'.'.join(map(str, PYTHON))} or newer, this is {'.'.join(map(str, version))}"
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return f"{', '.join(missing)} not found in the Python that runs the job" if missing else ""
