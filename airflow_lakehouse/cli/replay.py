"""``lakehouse replay``: rejected records tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_lakehouse.cli.pipeline import STAGES, Request, run_pipeline
from airflow_lakehouse.cli.warehouse import add_days, add_warehouse, print_json
from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    add_warehouse(parser)
    parser.add_argument("--reason", metavar="CODE", help="only files with rejects of this reason")
    add_days(parser, "only files of these days")
    parser.add_argument("--source-system", metavar="NAME", help="only files of this sender")
    parser.add_argument("--through", choices=STAGES, default=STAGES[-1], help="last stage (default gold)")
    parser.add_argument("--parser", action="append", default=[], metavar="FILE", help="a parser plugin of one file")


def run(options: argparse.Namespace) -> int:
    """Try again and go on through the stages; prints the summary as one JSON object.

    :param options: the parsed options.
    """
    profile = Profile(options.warehouse, parsers=tuple(options.parser))
    request = Request(
        profile, options.dt, options.source_system, options.through, job="replay_quarantine", reason=options.reason
    )
    print_json(run_pipeline(request))
    return 0
