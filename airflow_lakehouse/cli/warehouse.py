"""Options and output that the commands share."""

from __future__ import annotations

import argparse
import json
import math
import sys
from base64 import b64encode
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.days import FORMS
from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.catalog import Catalog


def add_warehouse(parser: argparse.ArgumentParser) -> None:
    """Add ``--warehouse``.

    :param parser: of the subcommand.
    """
    parser.add_argument("--warehouse", required=True, metavar="DIR", help="root of the lakehouse")


def add_as_of(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--as-of``.

    :param parser: of the subcommand.
    :param what: is done with what was then.
    """
    moment = "as a run or a tag left it, or as it was at a time (ISO 8601, UTC)"
    parser.add_argument("--as-of", metavar="RUN|TAG|TIME", help=f"{what} {moment}")


def add_days(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--dt``.

    :param parser: of the subcommand.
    :param what: it limits.
    """
    parser.add_argument("--dt", metavar=FORMS, help=f"{what}: one, or from FIRST to LAST; either may be left out")


def note_release(catalog: Catalog, names: Iterable[str] | None = None) -> None:
    """Say on standard error that tables are as another release left them: their columns may be called otherwise.

    :param catalog: the catalog.
    :param names: identifiers of the tables that are looked at; None for all.
    """
    from airflow_lakehouse import tables
    from airflow_lakehouse.spark.evolve import behind

    looked_at = None if names is None else set(names)
    declared = [table for table in tables.ALL if looked_at is None or table.identifier in looked_at]
    for plan in behind(catalog, declared):
        told = "; ".join([*map(str, plan.changes), *(f"{one.name} {one.reason}" for one in plan.refused)])
        sys.stderr.write(
            f"note: {plan.identifier} is as another release left it ({told}); the first job of this release brings it"
            " up to date, and 'lakehouse plan' shows how\n"
        )


def profile_of(options: argparse.Namespace) -> Profile:
    """Return the profile of a warehouse on this machine.

    :param options: with ``warehouse``.
    """
    return Profile(options.warehouse)


def print_json(value: object) -> None:
    """Print a value as one line of JSON.

    :param value: what to print.
    """
    sys.stdout.write(json.dumps(value, default=plain, ensure_ascii=False) + "\n")


def plain(value: object) -> object:
    """Return a cell as a JSON value: exact decimals and times as text, bytes in base64.

    :param value: the cell.
    """
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return str(value)


def finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without NaN and infinities, which JSON does not have.

    :param row: the row.
    """
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }


def positive(text: str) -> int:
    """Return a count an option gives.

    :param text: what was typed.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return value
