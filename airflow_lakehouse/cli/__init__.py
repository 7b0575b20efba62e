"""The ``lakehouse`` command. Each subcommand is a module here, imported when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Final

from airflow_lakehouse import __version__
from airflow_lakehouse.exceptions import LakehouseError

COMMANDS: Final = {
    "run": "load a drop: raw to bronze, silver and gold, on this machine",
    "plan": "show what this release will change in each table, and write nothing",
    "gold": "build gold from silver, or from silver as of a run, tag or time into a namespace of its own",
    "tables": "list the tables of a warehouse",
    "show": "print rows of a table",
    "runs": "list the runs and tags whose state can be read or gone back to, and keep one for good",
    "rollback": "set tables back to what a run left",
    "ledger": "make the ledger of files anew from bronze",
    "quarantine": "list what was rejected, by reason, with examples and without their text",
    "replay": "try rejected records again, after a parser was mended or added",
    "health": "show what each table costs its readers: small files, deletes, snapshots, metadata",
    "maintain": "compact, expire and clean up the tables for which it is due",
    "sample": "write sample input: FHIR in several shapes, PDFs, some of it broken",
    "demo": "run the whole pipeline as an Airflow DAG run and show the result",
    "up": "start Airflow with the example DAG and print its address",
    "engine": "show or stop this machine's shared Spark engine",
    "doctor": "check Java, jars, packages and the engine",
    "fetch-jars": "fetch the jars the local engine needs",
    "dbt-env": "build the environment dbt runs in",
    "fake-textract": "run an Amazon Textract on this machine, to try pipelines and their failures with",
    "docs": "write the generated reference pages, or check that they are current",
}
"""Subcommands and what they do, in the order of the help."""


def main(given: list[str] | None = None) -> int:
    """Run the command line.

    :param given: arguments; those of the process by default.
    :return: 0 done, 1 failed, 2 usage, 3 a check did not hold.
    """
    arguments = sys.argv[1:] if given is None else given
    parser = argparse.ArgumentParser(prog="lakehouse", description="Raw drops to Iceberg tables.")
    parser.add_argument("--version", action="version", version=f"airflow-lakehouse {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((argument for argument in arguments if argument in COMMANDS), None)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            # Only the one that is called is imported: 'lakehouse --help' must not wait for Airflow.
            importlib.import_module(_module_of(name)).add_arguments(sub)
    options = parser.parse_args(arguments)
    try:
        return int(importlib.import_module(_module_of(options.command)).run(options))
    except LakehouseError as error:
        sys.stderr.write(f"lakehouse {options.command}: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("lakehouse: stopped; start it again and it goes on from there\n")
        return 130
    except BrokenPipeError:
        # Somebody piped us into head; the interpreter would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _module_of(command: str) -> str:
    return f"{__name__}.{command.replace('-', '_')}"
