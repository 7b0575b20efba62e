"""Run when there is something to do: new objects in the drop start the load, a commit to silver starts a report.

Nothing is scheduled by the clock. Each asset has a watch that runs in the triggerer; what it found is in the event that
started the run. Two variables of the environment name the places, so that the file imports anywhere:
``LAKEHOUSE_DROP`` (``s3://bucket/prefix``) and, where S3 tells of new objects in a queue, ``LAKEHOUSE_DROP_QUEUE``.

Assets are watched from Airflow 3 on. On Airflow 2.11 the same DAGs are there and start by hand, or by ``schedule``.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_lakehouse._compat import DAG, task  # airflow.sdk, where there is no Airflow 2
from airflow_lakehouse.assets import watched_drop, watched_table
from airflow_lakehouse.operators.iceberg_spark import IcebergSparkOperator

DROP = watched_drop(os.environ.get("LAKEHOUSE_DROP", "s3://drop/raw"), queue_url=os.environ.get("LAKEHOUSE_DROP_QUEUE"))
PATIENTS = watched_table("silver_dim_patient")
EVERY_RUN: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"retries": 2, "retry_delay": timedelta(minutes=1)},
    "doc_md": __doc__,
    "tags": ["lakehouse"],
}

with DAG(dag_id="lakehouse_on_new_objects", schedule=[DROP], **EVERY_RUN):
    # The job lists what is there and loads what it has not: an event told twice, or two at once, change nothing.
    bronze = IcebergSparkOperator(task_id="bronze", job="raw_to_bronze")
    silver = IcebergSparkOperator(task_id="silver", job="bronze_to_silver")
    bronze >> silver


@task
def report(**context: Any) -> list[dict[str, Any]]:
    """Say which commits started this run, whoever made them: this package, a notebook or another engine."""
    events = [event for found in (context.get("triggering_asset_events") or {}).values() for event in found]
    told = [(event.extra or {}).get("payload") or {} for event in events]
    return [{name: one.get(name) for name in ("table", "snapshot_ids", "rows_added")} for one in told]


with DAG(dag_id="lakehouse_on_new_commits", schedule=[PATIENTS], **EVERY_RUN):
    report()
