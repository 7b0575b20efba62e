"""Fifty daily runs of equal size, with maintenance on: what the last ones cost beside the first.

Run from the project's root: ``.venv/bin/python benchmarks/incremental.py [--runs 50] [--patients 20]``. Prints a JSON
object: requests, bytes read and written at the object store, live data files and seconds of early and late runs (the
median of five), their ratios, and the seconds of a run that finds nothing.

It takes half an hour. ``--state DIR --at-most 12`` does the next twelve runs and ends, to be called again; the server
must then be one that goes on in between (``LAKEHOUSE_TEST_S3``). Each call begins with an engine that has compiled
nothing, so let it be five or more before the last five.

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
from airflow_lakehouse.spark.iceberg import run_tags
from airflow_lakehouse.spark.iceberg.as_of import find_run
from airflow_lakehouse.spark.jobs import JobArguments, run_job
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg, table_identifiers
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


def measure(runs: int, patients: int, shape: AwsShape, folder: Path, at_most: int | None = None) -> dict[str, Any]:
    """Do the runs and compare the first ones with the last.

    The very first ones make tables and compile; those compared begin with the fifth.

    :param runs: how many.
    :param patients: how many records a day is made of, in patients.
    :param shape: the servers.
    :param folder: for the drop and what was measured; where another call has left both, it is gone on with.
    :param at_most: how many runs are done now.
    """
    drop, kept = folder / "drop", folder / "costs.json"
    if not kept.exists():
        write_sample(drop, patients=patients, documents=0, days=runs)
        kept.write_text(json.dumps({"warehouse": shape.lakehouse().warehouse_uri, "costs": []}))
    told = json.loads(kept.read_text())
    profile, costs = shape.in_bucket(told["warehouse"].split("/")[2]), told["costs"]
    days = sorted(path for path in drop.rglob("dt=*") if path.is_dir())
    for number, day in list(enumerate(days, 1))[len(costs) :][:at_most]:
        _upload(profile, drop, day)
        costs.append(_run(shape, profile, f"run-{number}"))
        costs[-1]["files"] = _files(profile)
        if number > _KEPT_RUNS:
            catalog = load_pyiceberg(profile)
            run_tags.forget(catalog, find_run(catalog, f"run-{number - _KEPT_RUNS}").point)
        kept.write_text(json.dumps({**told, "costs": costs}))
    return _compared(costs, _seconds_of_nothing(profile)) if len(costs) >= 2 * _COMPARED else {"runs": len(costs)}


def _seconds_of_nothing(profile: Profile) -> float:
    """Return the seconds of a run over a drop that holds nothing new, on an engine that is warm."""
    started = time.monotonic()
    for job in _JOBS[:2]:
        run_job(job, JobArguments(profile, "nothing-new"))
    return time.monotonic() - started


def _compared(costs: list[dict[str, float]], nothing: float) -> dict[str, Any]:
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
    parser.add_argument("--state", type=Path, help="folder that is kept, for runs done in several calls")
    parser.add_argument("--at-most", type=int, help="runs of this call")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, s3_server() as server:
        folder = options.state or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        engine = Path(scratch) / "engine"
        with aws_shape(server, engine, memory="2g") as shape, mock.patch.dict(os.environ, shape.environ):
            told = measure(options.runs, options.patients, shape, folder, options.at_most)
            print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
