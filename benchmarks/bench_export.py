"""``lakehouse run`` on the bench export: seconds and peak memory, JVM included, and the cost of a second run.

Run from the project's root: ``.venv/bin/python benchmarks/bench_export.py [--data DIR]``. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import Peak

from airflow_lakehouse.spark.engine import connect_server

TYPES = ("Patient", "Encounter", "Observation")


def run(drop: Path, warehouse: Path) -> tuple[float, float, dict[str, Any]]:
    """Run the pipeline through silver in a process of its own.

    :param drop: the raw drop.
    :param warehouse: of its own.
    :return: seconds, peak memory in MiB, the run's summary.
    """
    command = [sys.executable, "-m", "airflow_lakehouse.cli", "run", str(drop), "--warehouse", str(warehouse)]
    with Peak() as peak:
        started = time.monotonic()
        output = subprocess.run([*command, "--through", "silver"], check=True, capture_output=True, text=True).stdout
        seconds = time.monotonic() - started
    return seconds, peak.mib, json.loads(output.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fhir/bench"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, connect_server.hold_server():
        drop = Path(scratch) / "drop"
        drop.mkdir()
        for name in TYPES:
            (drop / f"{name}.ndjson.gz").symlink_to((options.data / f"{name}.ndjson.gz").resolve())
        seconds, memory, first = run(drop, Path(scratch) / "warehouse")
        again, _, second = run(drop, Path(scratch) / "warehouse")
    print(
        json.dumps(
            {
                "records": first["records"],
                "seconds": round(seconds, 1),
                "stages": first["seconds"],
                "peak_mib": round(memory),
                "second_run_seconds": round(again, 1),
                "second_run_changed": second["changed"],
            }
        )
    )


if __name__ == "__main__":
    main()
