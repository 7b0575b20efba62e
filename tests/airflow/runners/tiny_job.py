"""A script of a user's own, as small as can be, that any runner can be pointed at: it needs no Spark."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

import airflow_lakehouse


def main() -> int:
    """Do what the job's name says."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--job")
    parser.add_argument("--arguments")
    parser.add_argument("--result")
    # The local runner names the job first; what else an engine adds is none of ours.
    given, rest = parser.parse_known_args()
    job = given.job or rest[0]
    arguments = json.loads(_opened(given.arguments))
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
    _write(given.result, json.dumps(failed if job == "fail" else complete).encode())
    return 2 if job == "fail" else 0


def _opened(uri: str) -> bytes:
    """Return the bytes of a file here or in S3. Arrow, which the real jobs read with, takes a second to import."""
    if "://" not in uri:
        return Path(uri).read_bytes()
    with urllib.request.urlopen(_address(uri)) as answer:  # noqa: S310 - the test's own server
        return bytes(answer.read())


def _write(uri: str, data: bytes) -> None:
    if "://" not in uri:
        partial = Path(f"{uri}.partial")
        partial.write_bytes(data)
        partial.replace(uri)
        return
    request = urllib.request.Request(_address(uri), data, method="PUT")  # noqa: S310 - the test's own server
    urllib.request.urlopen(request).close()  # noqa: S310 - as above


def _address(uri: str) -> str:
    return f"{os.environ['AWS_ENDPOINT_URL']}/{uri.removeprefix('s3://')}"


if __name__ == "__main__":
    if code := main():
        sys.exit(code)
