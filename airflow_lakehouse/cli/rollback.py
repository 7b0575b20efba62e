"""``lakehouse rollback``: tables set back to what a run left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow_lakehouse.cli.warehouse import add_warehouse, print_json, profile_of

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    parser.add_argument("--to", required=True, metavar="RUN", help="the run whose state is wanted: lakehouse runs")
    add_warehouse(parser)
    parser.add_argument(
        "--table", action="extend", nargs="+", default=[], metavar="NAME", help="only these tables (default all)"
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="set back what would be ahead of these tables, too, instead of refusing"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Set tables back and print which.

    :param options: the parsed options.
    """
    from airflow_lakehouse.spark.rollback import roll_back

    result = roll_back(profile_of(options), options.to, options.table, rebuild=options.rebuild)
    if options.json:
        print_json(result)
        return 0
    for name, moved in result["tables"].items():
        sys.stdout.write(f"{name}: {moved['was'] or 'no rows'} -> {moved['snapshot_id'] or 'no rows'}\n")
    tables = len(result["tables"])
    sys.stdout.write(f"{tables} tables set back to run {options.to}; {result['files']} files will be loaded again\n")
    return 0
