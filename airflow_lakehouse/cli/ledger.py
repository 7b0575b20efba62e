"""``lakehouse ledger``: the file ledger made anew from bronze."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow_lakehouse.cli.warehouse import add_warehouse, print_json
from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    parser.add_argument("action", choices=("rebuild",), help="what to do")
    add_warehouse(parser)
    parser.add_argument("--parser", action="append", default=[], metavar="FILE", help="a parser plugin of one file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Make the ledger anew and print how many files are in which state.

    :param options: the parsed options.
    """
    from airflow_lakehouse.spark.bronze.ledger_rebuild import rebuild

    counts = rebuild(Profile(options.warehouse, parsers=tuple(options.parser)))
    if options.json:
        print_json(counts)
    else:
        sys.stdout.write(", ".join(f"{name} {count}" for name, count in counts.items()) + "\n")
    return 0
