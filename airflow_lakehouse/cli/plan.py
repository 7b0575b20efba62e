"""``lakehouse plan``: what the installed release will change in the tables of a warehouse."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.cli.warehouse import add_warehouse, print_json
from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_lakehouse.spark.evolve import TablePlan

REFUSED_CODE: Final = 3
"""Exit code where a table cannot become what is declared: every job would stop before it writes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    add_warehouse(parser)
    parser.add_argument("--parser", action="append", default=[], metavar="FILE", help="a parser plugin of one file")
    parser.add_argument("--json", action="store_true", help="print a JSON array of every table")


def run(options: argparse.Namespace) -> int:
    """Print what the next job will do to each table, before it does anything else. Nothing is written.

    :param options: the parsed options.
    :return: 0 where it can be done, whether or not there is anything to do; 3 where something is refused.
    """
    plans = plan_release(Profile(options.warehouse, parsers=tuple(options.parser)))
    if options.json:
        print_json([plan.as_dict() for plan in plans])
    else:
        sys.stdout.writelines(_lines(plans))
    return REFUSED_CODE if any(plan.refused for plan in plans) else 0


def plan_release(profile: Profile) -> list[TablePlan]:
    """Return the plan of every table this release and its parsers declare, those of the parsers last.

    :param profile: the lakehouse, with its parsers; a local one need not exist.
    :raises ConfigurationError: when the directory is no place for a warehouse.
    """
    from airflow_lakehouse.parsing import load_registry
    from airflow_lakehouse.spark.evolve import plan_tables
    from airflow_lakehouse.spark.storage.catalog import find_catalog
    from airflow_lakehouse.tables import ALL

    return plan_tables(find_catalog(profile), (*ALL, *load_registry(profile.parsers).tables.values()))


def _lines(plans: list[TablePlan]) -> Iterator[str]:
    for plan in plans:
        for line in _about(plan):
            yield f"{plan.identifier:38} {line}\n"
    count = Counter(plan.action for plan in plans)
    told = {"create": "to create", "change": "to change", "none": "as declared", "refused": "refused"}
    yield f"{len(plans)} tables: {', '.join(f'{count[action]} {words}' for action, words in told.items())}\n"


def _about(plan: TablePlan) -> Iterator[str]:
    if not plan.exists:
        yield f"create with {len(plan.changes)} columns"
        return
    # With a refusal nothing is done, to no table: what else there is to do is told all the same.
    yield from map(str, plan.changes)
    for refusal in plan.refused:
        yield f"REFUSED {refusal.name} {refusal.reason}; legal: {refusal.legal}"
    for left in plan.left_alone:
        yield f"leave {left}"
