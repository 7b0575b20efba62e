"""Fifty daily runs of equal size, with maintenance on: what the last ones cost beside the first.

Run from the project's root: ``.venv/bin/python benchmarks/incremental.py [--runs 50] [--patients 20]``. Prints a JSON
object: requests, bytes read and written at the object store, live data files and seconds of early and late runs (the
median of five), their ratios, and the seconds of a run that finds nothing.

Tables are in S3 behind a Glue catalog (ministack), and every request goes through a proxy that counts. A run is
``raw_to_bronze``, ``bronze_to_silver`` and ``maintain``. A day lasts some seconds here, so what time would do is done
by number: snapshots of ten runs are kept, and the tags of older runs are taken away, as their retention would.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from airflow_lakehouse.cli.sample import write_sample
from airflow_lakehouse.spark import run_tags
from airflow_lakehouse.spark.as_of import find_run
from airflow_lakehouse.spark.catalog import load_pyiceberg, table_identifiers
from airflow_lakehouse.spark.jobs import JobArguments, run_job
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.testing.aws_shape import AwsShape, aws_shape
from airflow_lakehouse.testing.s3_server import s3_server

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile

_KEPT_RUNS: Final = 10
_POLICY: Final = MaintenancePolicy(snapshot_days=0, keep_snapshots=_KEPT_RUNS)
_JOBS: Final = ("raw_to_bronze", "bronze_to_silver", "maintain")
_COMPARED: Final = 5
"""How many runs are taken together at either end."""


def _upload(profile: Profile, folder: Path, day: Path) -> None:
    import boto3

    bucket = profile.warehouse_uri.removeprefix("s3://").partition("/")[0]
    for file in sorted(path for path in day.rglob("*") if path.is_file()):
        boto3.client("s3").upload_file(str(file), bucket, f"drop/{file.relative_to(folder).as_posix()}")


def _files(profile: Profile) -> int:
    """Return the live data files of all tables, from the summaries of their snapshots."""
    catalog, found = load_pyiceberg(profile), 0
    for name in table_identifiers(catalog):
        snapshot = catalog.load_table(name).current_snapshot()
        if snapshot is not None and snapshot.summary is not None:
            found += int(snapshot.summary.additional_properties.get("total-data-files", 0))
    return found


def _run(shape: AwsShape, profile: Profile, run_id: str) -> dict[str, float]:
    """Do one run and return what it cost."""
    shape.s3.requests.clear()
    shape.s3.bytes.clear()
    started = time.monotonic()
    for job in _JOBS:
        run_job(job, JobArguments(profile, run_id, policy=_POLICY))
    seconds = time.monotonic() - started
    return {"seconds": seconds, "requests": shape.s3.requests.total(), **shape.s3.bytes}


def measure(runs: int, patients: int, shape: AwsShape, folder: Path) -> dict[str, Any]:
    """Do the runs and compare the first ones with the last.

    The very first ones make tables and compile; those compared begin with the fifth.

    :param runs: how many.
    :param patients: how many records a day is made of, in patients.
    :param shape: the servers.
    :param folder: for the drop; not there yet.
    """
    write_sample(folder, patients=patients, documents=0, days=runs)
    days = sorted(path for path in folder.rglob("dt=*") if path.is_dir())
    profile = shape.lakehouse()
    costs = []
    for number, day in enumerate(days, 1):
        _upload(profile, folder, day)
        costs.append(_run(shape, profile, f"run-{number}"))
        costs[-1]["files"] = _files(profile)
        if number > _KEPT_RUNS:
            catalog = load_pyiceberg(profile)
            run_tags.forget(catalog, find_run(catalog, f"run-{number - _KEPT_RUNS}").point)
    started = time.monotonic()
    for job in _JOBS[:2]:
        run_job(job, JobArguments(profile, "nothing-new"))
    nothing = time.monotonic() - started
    ends = {"early": costs[_COMPARED - 1 : 2 * _COMPARED - 1], "late": costs[-_COMPARED:]}
    told: dict[str, Any] = {"runs": len(costs), "seconds_of_a_run_that_finds_nothing": round(nothing, 2)}
    for end, some in ends.items():
        told[end] = {what: round(statistics.median(one[what] for one in some), 2) for what in costs[0]}
    told["late_to_early"] = {what: round(told["late"][what] / told["early"][what], 2) for what in costs[0]}
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--patients", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, s3_server() as server:
        folder = Path(scratch)
        with aws_shape(server, folder / "engine", memory="2g") as shape, mock.patch.dict(os.environ, shape.environ):
            print(json.dumps(measure(options.runs, options.patients, shape, folder / "drop"), indent=1))


if __name__ == "__main__":
    main()
