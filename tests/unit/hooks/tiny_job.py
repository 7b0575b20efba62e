"""A job as small as can be, started the way the real ones are: ``tiny_job.py NAME --arguments FILE --result FILE``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Do what the job's name says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("--arguments", type=Path)
    parser.add_argument("--result", type=Path)
    given = parser.parse_args()
    arguments = json.loads(given.arguments.read_text())
    sys.stderr.write("2026-01-15 10:00:00,123 INFO airflow_lakehouse.tiny: started\n")
    sys.stderr.write("Patient Jane Roe was born on 1970-01-01\n")
    with Path(arguments["starts"]).open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if given.job == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if given.job == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(arguments["child"]).write_text(str(child.pid))
    while "until" in arguments and not Path(arguments["until"]).exists():
        time.sleep(0.02)
    failed = {"status": "failed", "error": "the drop is empty", "error_type": "InputError"}
    kept = [name for name in arguments.get("private", ()) if name in os.environ]
    complete = {"status": "complete", "kept": kept, "rows": 3}
    given.result.write_text(json.dumps(failed if given.job == "fail" else complete))
    return 2 if given.job == "fail" else 0


if __name__ == "__main__":
    sys.exit(main())
