"""What EMR, Glue and spark-submit are pointed at: bronze to silver."""

from __future__ import annotations

import sys

from airflow_lakehouse.spark.cluster import run

run(["--job", "bronze_to_silver", *sys.argv[1:]])
