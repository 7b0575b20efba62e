"""A script of a user's own, as small as can be, that any runner can be pointed at: it needs no Spark."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

import airflow_lakehouse
from airflow_lakehouse.ocr.folder import open_folder


def main() -> int:
    """Do what the job's name says."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--job")
    parser.add_argument("--arguments")
    parser.add_argument("--result")
    # The local runner names the job first; what else an engine adds is none of ours.
    given, rest = parser.parse_known_args()
    job = given.job or rest[0]
    folder, _, name = given.arguments.rpartition("/")
    arguments = json.loads(open_folder(folder).read(name) or b"")
    sys.stderr.write("2026-01-15 10:00:00,123 INFO airflow_lakehouse.tiny: started\n")
    sys.stderr.write("Patient Jane Roe was born on 1970-01-01\n")
    with Path(arguments["starts"]).open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    while not Path(arguments["until"]).exists():
        time.sleep(0.02)
    if job == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "raise":
        error = "could not convert string to float: 'Jane Roe'"
        raise ValueError(error)
    complete = {"status": "complete", "rows": 3, "code": airflow_lakehouse.__file__}
    failed = {"status": "failed", "error": "the drop is empty", "error_type": "InputError"}
    folder, _, name = given.result.rpartition("/")
    open_folder(folder).write(name, json.dumps(failed if job == "fail" else complete).encode())
    return 2 if job == "fail" else 0


if __name__ == "__main__":
    if code := main():
        sys.exit(code)
