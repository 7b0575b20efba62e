"""What EMR, Glue and spark-submit are pointed at: the job that ``--job`` names."""

from __future__ import annotations

import sys

from airflow_lakehouse.spark.cluster import run

run(sys.argv[1:])
