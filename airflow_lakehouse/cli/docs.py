"""``lakehouse docs``: the pages and files that are generated from the code, written or checked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_lakehouse.cli.reference import commands_page, reasons_page, tables_page
from airflow_lakehouse.exceptions import UsageError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 naming the files that are stale")


def run(options: argparse.Namespace) -> int:
    """Write the generated files of a checkout, or name those that are stale.

    :param options: the parsed options.
    :raises UsageError: when this is no checkout.
    """
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").is_file():
        raise UsageError("the generated pages belong to a checkout", remedy="run it from a clone of the project")
    wanted = generated(root)
    stale = {path: text for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text}
    for path, text in stale.items():
        if options.check:
            sys.stderr.write(f"{path.relative_to(root)} is stale; run 'make docs'\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(root)}\n")
    return 1 if options.check and stale else 0


def generated(root: Path) -> dict[Path, str]:
    """Return every generated file of a checkout with the text it must have.

    :param root: of the checkout.
    """
    from airflow_lakehouse.dbt.sources import SOURCES_FILE, render_sources

    reference = root / "docs" / "reference"
    return {
        reference / "tables.md": tables_page(),
        reference / "cli.md": commands_page(),
        reference / "reasons.md": reasons_page(),
        root / "dbt_example" / SOURCES_FILE: render_sources(),
    }
