"""What EMR, Glue and spark-submit are pointed at: maintenance of tables."""

from __future__ import annotations

import sys

from airflow_lakehouse.spark.cluster import run

run(["--job", "maintain", *sys.argv[1:]])
