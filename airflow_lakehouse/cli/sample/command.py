"""``lakehouse sample``: the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_lakehouse.cli.progress import stage
from airflow_lakehouse.cli.sample.drop import write_sample

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    parser.add_argument("target", type=Path, metavar="DIR", help="new or empty folder for the drop")
    parser.add_argument("--patients", type=int, default=50, metavar="N", help="how many patients (default 50)")
    parser.add_argument("--documents", type=int, default=6, metavar="N", help="how many PDFs (default 6)")
    parser.add_argument("--days", type=int, default=2, metavar="N", help="how many days (default 2)")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="another seed, another drop (default 7)")
    parser.add_argument(
        "--broken-ratio", type=float, default=0.02, metavar="R", help="share of broken records (default 0.02)"
    )


def run(args: argparse.Namespace) -> int:
    """Write a sample and print what it holds as one JSON object.

    :param args: the parsed options.
    :return: 0.
    """
    with stage("Writing sample input", total=max(args.patients, 0) * max(args.days, 0)) as step:
        report = write_sample(
            args.target,
            patients=args.patients,
            documents=args.documents,
            days=args.days,
            seed=args.seed,
            broken_ratio=args.broken_ratio,
            step=step,
        )
    sys.stdout.write(json.dumps(report.as_dict()) + "\n")
    return 0
