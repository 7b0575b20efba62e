"""What EMR, Glue and spark-submit are pointed at: a function or script of the user's own."""

from __future__ import annotations

import os
import sys

from airflow_lakehouse.spark.engine import CLUSTER_VARIABLE
from airflow_lakehouse.spark.jobs.__main__ import main

os.environ[CLUSTER_VARIABLE] = "1"
sys.exit(main(["user_code", *sys.argv[1:]]))
