"""``lakehouse fetch-jars``: the jars of the local engine, fetched once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option; which jars are needed follows from the installed pyspark.

    :param parser: of the subcommand.
    """
    parser.add_argument("--aws", action="store_true", help="Amazon's client for a Glue catalog and S3, too")


def run(options: argparse.Namespace) -> int:
    """Fetch what is missing and print where everything is.

    :param options: the parsed options.
    """
    from airflow_lakehouse.spark.engine.jars import fetch_jars

    for path in fetch_jars(aws=options.aws):
        sys.stdout.write(f"{path}\n")
    return 0
