"""``lakehouse show``: rows of a table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.cli.warehouse import add_warehouse, finite, plain, positive, print_json, profile_of
from airflow_lakehouse.exceptions import TableNotFoundError
from airflow_lakehouse.tables import NAMESPACES

if TYPE_CHECKING:
    import argparse

    from airflow_lakehouse.profile import Profile

_CELL = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    parser.add_argument("table", metavar="TABLE", help="name, with or without its namespace")
    add_warehouse(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON array of row objects")
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="at most so many rows (default 20)")


def run(options: argparse.Namespace) -> int:
    """Print rows.

    :param options: the parsed options.
    """
    rows = read_rows(profile_of(options), options.table, options.limit)
    if options.json:
        print_json([finite(row) for row in rows])
    else:
        sys.stdout.write(as_text(rows))
    return 0


def read_rows(profile: Profile, name: str, limit: int | None = None) -> list[dict[str, Any]]:
    """Return rows of a table, as Python values.

    :param profile: the lakehouse.
    :param name: with or without the namespace.
    :param limit: at most so many.
    :raises TableNotFoundError: when there is no such table; the message lists those there are.
    """
    from airflow_lakehouse.spark.catalog import find_table, get_table, load_pyiceberg

    catalog = load_pyiceberg(profile)
    if "." in name:
        found = [get_table(catalog, name)]
    else:
        sought = (find_table(catalog, f"{namespace}.{name}") for namespace in NAMESPACES)
        found = [table for table in sought if table is not None]
    if not found:
        known = sorted(table[1] for space in NAMESPACES for table in catalog.list_tables(space))
        raise TableNotFoundError(f"this warehouse has no table {name!r}", legal=", ".join(known) or "none yet")
    rows: list[dict[str, Any]] = found[0].scan(limit=limit).to_arrow().to_pylist()
    return rows


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return rows as aligned columns; long cells are cut.

    :param rows: row objects.
    """
    if not rows:
        return "no rows\n"
    cells = [[_cell(value) for value in row.values()] for row in rows]
    names = list(rows[0])
    widths = [max(len(name), *(len(row[place]) for row in cells)) for place, name in enumerate(names)]
    lines = [names, ["-" * width for width in widths], *cells]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value if isinstance(value, list | dict) else plain(value))
    text = " ".join(text.split())
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"
