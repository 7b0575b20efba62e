"""``lakehouse dbt-env``: make the environment dbt lives in, ahead of the first run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command.

    :param parser: the parser of ``lakehouse dbt-env``.
    """
    parser.add_argument(
        "--path",
        type=Path,
        metavar="DIR",
        help="where to make it (default: $LAKEHOUSE_DBT_ENV, else below this Python's prefix)",
    )


def run(args: argparse.Namespace) -> int:
    """Make the environment, or find it made, and print the path of its dbt on standard output.

    :param args: parsed options.
    :return: exit code.
    """
    from airflow_lakehouse.dbt.environment import ensure_environment

    path: Path | None = args.path
    environment = ensure_environment(path.expanduser() if path else None)
    sys.stdout.write(f"{environment.dbt}\n")
    return 0
