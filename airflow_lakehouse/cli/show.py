"""``lakehouse show``: rows of a table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.cli.warehouse import (
    add_as_of,
    add_warehouse,
    finite,
    note_release,
    plain,
    positive,
    print_json,
    profile_of,
)

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
    add_as_of(parser, "read it")
    parser.add_argument("--json", action="store_true", help="print a JSON array of row objects")
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="at most so many rows (default 20)")


def run(options: argparse.Namespace) -> int:
    """Print rows.

    :param options: the parsed options.
    """
    profile = profile_of(options)
    rows = read_rows(profile, options.table, options.limit, options.as_of)
    if options.as_of is None:
        _note_release(profile, options.table)
    if options.json:
        print_json([finite(row) for row in rows])
    else:
        sys.stdout.write(as_text(rows))
    return 0


def _note_release(profile: Profile, name: str) -> None:
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg, named

    catalog = load_pyiceberg(profile)
    note_release(catalog, [named(catalog, name)])


def read_rows(profile: Profile, name: str, limit: int | None = None, as_of: str | None = None) -> list[dict[str, Any]]:
    """Return rows of a table, as Python values.

    :param profile: the lakehouse.
    :param name: with or without the namespace.
    :param limit: at most so many.
    :param as_of: see :func:`airflow_lakehouse.spark.iceberg.as_of.resolve`.
    :raises TableNotFoundError: when there is no such table; the message lists those there are.
    :raises SnapshotNotFoundError: when there is no such run, tag or time.
    """
    from airflow_lakehouse.spark.iceberg.as_of import resolve
    from airflow_lakehouse.spark.storage.catalog import get_table, load_pyiceberg

    catalog = load_pyiceberg(profile)
    table = get_table(catalog, name)
    snapshot = resolve(catalog, as_of).snapshot(table)
    if snapshot is None:
        return []
    # What was, under the names of then; what is, under those of now, also where nothing was written since.
    then = snapshot.snapshot_id if as_of is not None else None
    rows: list[dict[str, Any]] = table.scan(limit=limit, snapshot_id=then).to_arrow().to_pylist()
    return rows


def as_text(rows: list[dict[str, Any]], longest: int = _CELL) -> str:
    """Return rows as aligned columns; long cells are cut.

    :param rows: row objects.
    :param longest: characters after which a cell is cut.
    """
    if not rows:
        return "no rows\n"
    cells = [[_cell(value, longest) for value in row.values()] for row in rows]
    names = list(rows[0])
    widths = [max(len(name), *(len(row[place]) for row in cells)) for place, name in enumerate(names)]
    lines = [names, ["-" * width for width in widths], *cells]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )


def _cell(value: object, longest: int) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value if isinstance(value, list | dict) else plain(value))
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
