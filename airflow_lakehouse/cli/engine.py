"""``lakehouse engine``: the Spark Connect server that everything on this machine shares."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    parser.add_argument("action", choices=("status", "start", "stop"), help="what to do")


def run(options: argparse.Namespace) -> int:
    """Show, start or stop the engine.

    :param options: the parsed options.
    """
    from airflow_lakehouse.spark.engine import connect_server

    if options.action == "stop":
        sys.stdout.write("stopped\n" if connect_server.stop_server() else "no engine was running\n")
        return 0
    server = connect_server.ensure_server() if options.action == "start" else connect_server.running_server()
    # The address carries the token; whoever may have it finds it in the state file.
    where = connect_server.state_dir()
    sys.stdout.write(f"running, process {server.pid}, state in {where}\n" if server else f"not running ({where})\n")
    return 0
