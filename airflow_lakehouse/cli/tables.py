"""``lakehouse tables``: what a warehouse holds, from metadata."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.cli.warehouse import add_as_of, add_warehouse, note_release, print_json, profile_of

if TYPE_CHECKING:
    import argparse

    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

    from airflow_lakehouse.profile import Profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    add_warehouse(parser)
    add_as_of(parser, "list each")
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(options: argparse.Namespace) -> int:
    """Print the tables.

    :param options: the parsed options.
    """
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

    profile = profile_of(options)
    rows = list_tables(profile, options.as_of)
    note_release(load_pyiceberg(profile))
    if options.json:
        print_json(rows)
        return 0
    sys.stdout.write(f"{'table':42} {'rows':>12} {'files':>7} {'MiB':>9}  snapshot\n")
    for row in rows:
        size = row["bytes"] / 2**20
        when = row["snapshot_time"] or "-"
        sys.stdout.write(f"{row['name']:42} {row['rows']:>12,} {row['files']:>7} {size:>9.2f}  {when}\n")
    return 0


def list_tables(profile: Profile, as_of: str | None = None) -> list[dict[str, Any]]:
    """Return name, rows, snapshot, files and bytes of each table, in the order of the layers.

    :param profile: the lakehouse.
    :param as_of: see :func:`airflow_lakehouse.spark.iceberg.as_of.resolve`; of a tag, only the tables that carry it.
    """
    from airflow_lakehouse.spark.iceberg.as_of import resolve
    from airflow_lakehouse.spark.storage.catalog import copy_identifiers, get_table, load_pyiceberg, table_identifiers

    catalog = load_pyiceberg(profile)
    moment = resolve(catalog, as_of)
    names = [*table_identifiers(catalog), *copy_identifiers(catalog)]
    tables = {name: get_table(catalog, name) for name in names}
    return [_described(name, table, moment.snapshot(table)) for name, table in tables.items() if moment.covers(table)]


def _described(name: str, table: IcebergTable, snapshot: Snapshot | None) -> dict[str, Any]:
    summary = dict(snapshot.summary.additional_properties) if snapshot and snapshot.summary else {}
    when = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC).isoformat() if snapshot else None
    return {
        "name": name.split(".", 1)[1],
        "namespace": name.split(".", 1)[0],
        "rows": table.scan(snapshot_id=snapshot.snapshot_id).count() if snapshot else 0,
        "snapshot_id": snapshot.snapshot_id if snapshot else None,
        "snapshot_time": when,
        "files": int(summary.get("total-data-files", 0)),
        "bytes": int(summary.get("total-files-size", 0)),
    }
