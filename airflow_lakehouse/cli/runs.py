"""``lakehouse runs``: the states of a warehouse that can be read or gone back to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.cli.show import as_text
from airflow_lakehouse.cli.warehouse import add_warehouse, positive, print_json, profile_of

if TYPE_CHECKING:
    import argparse

    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.spark.iceberg.run_tags import Point


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    add_warehouse(parser)
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--keep", metavar="RUN", help="keep the snapshots of a run for good")
    either.add_argument("--let-go", metavar="RUN", help="let the snapshots of a run expire again")
    either.add_argument("--forget", metavar="RUN", help="take the tags of a run away at once")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the newest so many")
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(options: argparse.Namespace) -> int:
    """Print runs and tags, newest first, after doing with one what was asked.

    :param options: the parsed options.
    """
    profile = profile_of(options)
    _retain(profile, options)
    rows = list_runs(profile)[: options.limit]
    if options.json:
        print_json(rows)
        return 0
    shown = [{**row, "tables": len(row["tables"])} for row in rows]
    # A name that is cut cannot be asked for.
    sys.stdout.write(as_text(shown, longest=sys.maxsize) if shown else "no run has changed anything here\n")
    return 0


def list_runs(profile: Profile) -> list[dict[str, Any]]:
    """Return the runs and tags that ``--as-of`` takes, newest first.

    :param profile: the lakehouse.
    """
    from airflow_lakehouse.spark.iceberg.run_tags import points
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

    return [_described(point) for point in points(load_pyiceberg(profile))]


def _described(point: Point) -> dict[str, Any]:
    return {
        "name": point.name,
        "kind": point.kind,
        "time": point.time.isoformat(timespec="milliseconds"),
        "keep": point.expires is None,
        "expires": point.expires.isoformat(timespec="seconds") if point.expires else None,
        "rolled_back": point.rolled_back,
        "tag": point.tag,
        "tables": list(point.tables),
    }


def _retain(profile: Profile, options: argparse.Namespace) -> None:
    from airflow_lakehouse.spark.iceberg import run_tags
    from airflow_lakehouse.spark.iceberg.as_of import find_run
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
    from airflow_lakehouse.spark.storage.local_warehouse import checkpoint

    asked = ((options.keep, run_tags.keep), (options.let_go, run_tags.let_go), (options.forget, run_tags.forget))
    for chosen, change in asked:
        if chosen is not None:
            catalog = load_pyiceberg(profile)
            change(catalog, find_run(catalog, chosen).point)
            checkpoint(profile)
