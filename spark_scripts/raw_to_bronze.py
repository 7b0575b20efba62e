"""What EMR, Glue and spark-submit are pointed at: raw to bronze."""

from __future__ import annotations

import sys

from airflow_lakehouse.spark.cluster import run

run(["--job", "raw_to_bronze", *sys.argv[1:]])
