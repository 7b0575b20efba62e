"""What EMR, Glue and spark-submit are pointed at: rejected records tried again."""

from __future__ import annotations

import sys

from airflow_lakehouse.spark.cluster import run

run(["--job", "replay_quarantine", *sys.argv[1:]])
