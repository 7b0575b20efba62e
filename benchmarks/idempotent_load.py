"""What it costs that a load can be done twice: our guarded MERGE beside a plain append, and dlt's Iceberg upsert.

Run from the project's root: ``.venv/bin/python benchmarks/idempotent_load.py [--rows 50000] [--skip-dlt]``. Prints one
JSON object: median seconds of each into an empty table and into one that has ten days, the last of them the day that is
loaded; and ratios. All three write the same rows, from one Parquet file, into tables of one SQLite catalog, with the
files below one folder. Ours and the append run on one warm engine and take turns; dlt has an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze import bronze_rows
from airflow_lakehouse.spark.engine import connect_server
from airflow_lakehouse.spark.engine.session import open_session
from airflow_lakehouse.spark.iceberg import load, schema
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import Column, Partition, Table
from airflow_lakehouse.tables.bronze import RECORD_KEY

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

DLT: Final = "dlt[pyiceberg]==1.31.0"
_DAY: Final = date(2026, 1, 10)
_OLD_DAYS: Final = 9
_COLUMNS: Final = (
    Column("source_uri", "string", "File", required=True),
    Column("source_etag", "string", "Its version", required=True),
    Column("source_row", "long", "Line", required=True),
    Column("source_entry", "int", "Entry", required=True),
    Column("dt", "date", "Day"),
    Column("resource_id", "string", "Id"),
    Column("body", "string", "Text"),
)


def _table(name: str) -> Table:
    return Table(f"bronze_{name}", "bronze", "one row per record", _COLUMNS, RECORD_KEY, partitions=(Partition("dt"),))


def _rows(count: int, day: date, file: str) -> pa.Table:
    """Return records of one file: keys as bronze has them, and a body of some 400 bytes that no other row has."""
    import pyarrow as pa

    lines = range(1, count + 1)
    return pa.table(
        {
            "source_uri": pa.array([f"file:///drop/{file}"] * count),
            "source_etag": pa.array(["e"] * count),
            "source_row": pa.array(lines, pa.int64()),
            "source_entry": pa.array([0] * count, pa.int32()),
            "dt": pa.array([day] * count, pa.date32()),
            "resource_id": pa.array([f"{file}-{line}" for line in lines]),
            "body": pa.array([json.dumps({"id": f"{file}-{line}", "text": f"{line * 7919:x}" * 50}) for line in lines]),
        }
    )


def _write(folder: Path, count: int) -> None:
    """Write what is loaded, and what is there before: nine days, and another file of the day itself."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(_rows(count, _DAY, "new"), folder / "new.parquet")
    days = [_rows(count, _DAY - timedelta(days=back), f"old{back}") for back in range(_OLD_DAYS + 1)]
    pq.write_table(pa.concat_tables(days), folder / "old.parquet")


def _merge(table: Table, rows: DataFrame) -> None:
    load.insert_new(rows.sparkSession, table, rows, bronze_rows.prune(table, {_DAY.isoformat()}))


def _append(table: Table, rows: DataFrame) -> None:
    rows.writeTo(schema.qualified(table)).append()


_LOADS: Final = {"ours": _merge, "append": _append}


def _spark_seconds(spark: SparkSession, folder: Path, who: str, table: Table, *, filled: bool) -> float:
    if filled:
        _append(table, spark.read.parquet(f"{folder}/old.parquet"))
    rows = spark.read.parquet(f"{folder}/new.parquet")
    started = time.monotonic()
    _LOADS[who](table, rows)
    return time.monotonic() - started


def _dlt_python(scratch: Path, given: str = "") -> Path:
    if given:
        return Path(given)
    environment = scratch / "dlt"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", DLT], check=True)
    return python


def _dlt_seconds(python: Path, profile: Profile, folder: Path, name: str, *, filled: bool) -> float:
    script = Path(__file__).parent / "dlt_upsert.py"
    old = folder / "old.parquet" if filled else "-"
    command: list[str | Path] = [
        python,
        script,
        profile.catalog_file,
        profile.warehouse_dir,
        name,
        folder / "new.parquet",
        old,
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def measure(count: int, repeats: int, scratch: Path, dlt_python: str = "", *, skip_dlt: bool = False) -> dict[str, Any]:
    """Load the same rows with each of them, in turns.

    :param count: rows that are loaded; ten times as many are there in the filled table.
    :param repeats: how often; medians are told.
    :param scratch: folder of its own.
    :param dlt_python: interpreter of an environment with dlt; empty to make one.
    :param skip_dlt: leave dlt out.
    """
    profile = Profile(str(scratch / "warehouse"))
    create_local_catalog(profile)
    _write(scratch, count)
    python = None if skip_dlt else _dlt_python(scratch, dlt_python)
    catalog = load_pyiceberg(profile)
    told: dict[str, Any] = {"rows": count, "repeats": repeats}
    with connect_server.hold_server() as server, open_session(profile, server.remote) as spark:
        for state in ("empty", "filled"):
            found: dict[str, list[float]] = {who: [] for who in _LOADS}
            filled = state == "filled"
            # The first turn warms the engine, and is not told.
            for turn in range(repeats + 1):
                for who, seconds in found.items():
                    table = _table(f"{who}_{state}_{turn}")
                    create_table(catalog, table)
                    seconds.append(_spark_seconds(spark, scratch, who, table, filled=filled))
            medians = {who: statistics.median(seconds[1:]) for who, seconds in found.items()}
            sys.stderr.write(f"{state}: {medians}\n")
            told[f"{state}_ours_to_append"] = round(medians["ours"] / medians["append"], 2)
            if python:
                # Once: it takes minutes, and compiles nothing.
                medians["dlt"] = _dlt_seconds(python, profile, scratch, state, filled=filled)
                told[f"{state}_dlt_to_ours"] = round(medians["dlt"] / medians["ours"], 1)
            told[state] = {who: round(seconds, 2) for who, seconds in medians.items()}
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dlt", default="", metavar="PYTHON", help="interpreter of an environment that has dlt")
    parser.add_argument("--skip-dlt", action="store_true", help="it takes two seconds for each thousand rows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = measure(options.rows, options.repeats, Path(folder), options.dlt, skip_dlt=options.skip_dlt)
        print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
