"""``lakehouse run`` on the bench export: seconds and peak memory, JVM included, and the cost of a second run.

Run from the project's root: ``.venv/bin/python benchmarks/bench_export.py [--data DIR]``. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from airflow_lakehouse.spark import connect_server

TYPES = ("Patient", "Encounter", "Observation")


def _memory_mib() -> float:
    """Return what this user's Java and Python processes hold now, by their own pages."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/smaps_rollup"):
        try:
            name = (status.parent / "comm").read_text().strip()
            if name.startswith(("java", "python", "lakehouse")):
                total += next(
                    int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("Pss:")
                )
        except (OSError, StopIteration):
            continue
    return total / 1024


def _run(drop: Path, warehouse: Path) -> tuple[float, float, dict[str, object]]:
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            peak[0] = max(peak[0], _memory_mib())

    thread = threading.Thread(target=watch)
    thread.start()
    started = time.monotonic()
    command = [sys.executable, "-m", "airflow_lakehouse.cli", "run", str(drop), "--warehouse", str(warehouse)]
    output = subprocess.run([*command, "--through", "silver"], check=True, capture_output=True, text=True).stdout
    seconds = time.monotonic() - started
    done.set()
    thread.join()
    return seconds, peak[0], json.loads(output.splitlines()[-1])


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
        seconds, memory, first = _run(drop, Path(scratch) / "warehouse")
        again, _, second = _run(drop, Path(scratch) / "warehouse")
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
