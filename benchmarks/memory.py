"""What memory a load takes, and ten times the load.

Run from the project's root: ``.venv/bin/python benchmarks/memory.py [--patients 300] [--memory 1g]``. Prints a JSON
object: MB of input, and the most MiB that Java and Python together held while it went through bronze and silver, each
on an engine of its own that was just started; and the ratio of the two.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final
from unittest import mock

from measure import Peak

from airflow_lakehouse.cli.sample import write_sample
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.engine import connect_server
from airflow_lakehouse.spark.engine.connect_supervisor import MEMORY_VARIABLE
from airflow_lakehouse.spark.jobs import JobArguments, run_job

_TIMES: Final = 10


def measure(patients: int, memory: str, folder: Path) -> dict[str, Any]:
    """Load a drop on an engine of its own.

    :param patients: how many records it is made of, in patients; it has two days.
    :param memory: heap of the engine.
    :param folder: not there yet.
    """
    raw = folder / "raw"
    write_sample(raw, patients=patients, documents=0, days=2)
    size = sum(path.stat().st_size for path in raw.rglob("*") if path.is_file())
    profile = Profile(str(folder / "warehouse"), raw=str(raw))
    environ = {connect_server.STATE_VARIABLE: str(folder / "engine"), MEMORY_VARIABLE: memory}
    with mock.patch.dict(os.environ, environ):
        started = time.monotonic()
        with Peak(os.getpid()) as peak, connect_server.hold_server():
            for job in ("raw_to_bronze", "bronze_to_silver"):
                run_job(job, JobArguments(profile))
        connect_server.stop_server()
    return {"input_mb": round(size / 1e6, 1), "seconds": round(time.monotonic() - started), "peak_mib": round(peak.mib)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--memory", default="1g")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        once, tenfold = (
            measure(options.patients * times, options.memory, Path(scratch) / str(times)) for times in (1, _TIMES)
        )
    ratio = round(tenfold["peak_mib"] / once["peak_mib"], 2)
    print(
        json.dumps({"engine_memory": options.memory, "once": once, "tenfold": tenfold, "peak_ratio": ratio}, indent=1)
    )


if __name__ == "__main__":
    main()
