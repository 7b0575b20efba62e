"""A job that notes its start and ends when it may: ``held_job.py NAME --arguments FILE --result FILE``."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("job")
parser.add_argument("--arguments", type=Path)
parser.add_argument("--result", type=Path)
given = parser.parse_args()
place = Path(os.environ["HELD_JOB"])
with (place / "starts").open("a") as starts:
    starts.write(f"{os.getpid()}\n")
while not (place / "go").exists():
    time.sleep(0.1)
given.result.write_text(json.dumps({"status": "complete", "rows": 7}))
