"""``lakehouse health``: what each table costs its readers, from metadata."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.cli.warehouse import add_warehouse, print_json, profile_of
from airflow_lakehouse.spark.maintenance.policy import ORPHAN_DAYS

if TYPE_CHECKING:
    import argparse

    from airflow_lakehouse.spark.maintenance.health import TableHealth

_HEADER: Final = (
    f"{'table':38} {'files':>7} {'small':>6} {'deletes':>7} {'deleted':>8} {'snaps':>6} {'manif':>6} {'meta KiB':>9}"
    f" {'compacted':>10} {'orphans':>8}\n"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    add_warehouse(parser)
    parser.add_argument(
        "--orphans",
        type=float,
        nargs="?",
        const=ORPHAN_DAYS,
        metavar="DAYS",
        help=f"list storage too, for files that nothing names and that are older (default {ORPHAN_DAYS:g} days)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(options: argparse.Namespace) -> int:
    """Print the state of every table.

    :param options: the parsed options.
    """
    from airflow_lakehouse.spark.maintenance.survey import warehouse_health
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

    found = warehouse_health(load_pyiceberg(profile_of(options)), options.orphans)
    if options.json:
        print_json([health.as_dict() for health in found])
        return 0
    sys.stdout.write(_HEADER)
    for health in found:
        sys.stdout.write(_line(health))
    return 0


def _line(health: TableHealth) -> str:
    age = health.compaction_age
    compacted = f"{age.total_seconds() / 86400:.1f} d" if age else "-"
    orphans = str(health.orphans.files) if health.orphans else "-"
    return (
        f"{health.identifier:38} {health.data_files:>7} {health.small_share:>6.0%} {health.delete_files:>7}"
        f" {health.delete_ratio:>8.1%} {health.snapshots:>6} {health.manifests:>6} {health.metadata_bytes / 1024:>9.1f}"
        f" {compacted:>10} {orphans:>8}\n"
    )
