"""What EMR, Glue and spark-submit are pointed at: a function or script of the user's own."""

from __future__ import annotations

import sys

from airflow_lakehouse.spark.cluster import run

run(["--job", "user_code", *sys.argv[1:]])
