"""A job that does what the file named by ECHO_CONTROL says.

``complete``, ``snapshots`` (complete, and tell of them), ``wait``, or an error class to fail with.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path


def main() -> int:
    """Write the result a real job would."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("--arguments", type=Path)
    parser.add_argument("--result", type=Path)
    given = parser.parse_args()
    arguments = json.loads(given.arguments.read_text())
    control = Path(os.environ["ECHO_CONTROL"])
    sys.stderr.write("2026-01-15 10:00:00,123 INFO airflow_lakehouse.echo: reading\n")
    while control.read_text() == "wait":
        time.sleep(0.02)
    word = control.read_text()
    if word not in ("complete", "snapshots"):
        given.result.write_text(json.dumps({"status": "failed", "error": "as it was told", "error_type": word}))
        return 1
    result = {
        "status": "complete",
        "run_id": arguments["run_id"],
        "batch_id": "b1",
        "tables": {"bronze_fhir_patient": {"rows": 7, "added": 7, "updated": 0, "deleted": 0}},
        "quarantine": {"INVALID_JSON": 2},
        "files": {"found": 1, "loaded": 1},
        "sample": ["Patient Jane Roe"],
    }
    if word == "snapshots":
        seen = {"bronze.bronze_fhir_patient": {"before": 11, "after": 12}, "gold.daily": {"before": None, "after": 22}}
        result["snapshots"] = {name: pair for name, pair in seen.items() if name in arguments["tables"]}
        result["resources"] = {"vcpu_hours": 0.5}
    given.result.write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
