"""``lakehouse fetch-jars``: the jars of the local engine, fetched once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no option: which jars are needed follows from the installed pyspark.

    :param parser: of the subcommand.
    """
    del parser


def run(options: argparse.Namespace) -> int:
    """Fetch what is missing and print where everything is.

    :param options: the parsed options.
    """
    del options
    from airflow_lakehouse.spark.jars import fetch_jars

    for path in fetch_jars():
        sys.stdout.write(f"{path}\n")
    return 0
