"""What the Spark tests say often."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.spark.jobs import JobArguments, JobResult, run_job
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.tables import silver

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

VOLATILE = ("ingested_at", "batch_id", "source_uri", "source_row")
"""Columns that tell when and from which file a row came, not what it says."""


def load(profile: Profile, raw: Path, **arguments: Any) -> tuple[JobResult, JobResult]:
    """Take a drop through bronze and silver."""
    given = JobArguments(profile.with_raw(str(raw)), **arguments)
    return run_job("raw_to_bronze", given), run_job("bronze_to_silver", given)


def write_lines(path: Path, *resources: dict[str, Any] | bytes) -> Path:
    """Write an NDJSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in resources]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def silver_content(profile: Profile, *, without: tuple[str, ...] = VOLATILE) -> dict[str, list[str]]:
    """Return what every silver table says, in an order of its own."""
    return {
        table.name: sorted(
            json.dumps({name: value for name, value in row.items() if name not in without}, default=str, sort_keys=True)
            for row in read_rows(profile, table.identifier)
        )
        for table in silver.TABLES
    }


def snapshots(profile: Profile) -> dict[str, int | None]:
    """Return the current snapshot of every table."""
    catalog = load_pyiceberg(profile)
    found = {}
    for space in ("bronze", "silver", "gold"):
        for name in catalog.list_tables(space):
            snapshot = catalog.load_table(name).current_snapshot()
            found[".".join(name)] = snapshot.snapshot_id if snapshot else None
    return found
