"""Keep the tables cheap to read: compact, expire and clean up what is past a threshold.

Most days nothing is, and then no Spark is started. It stands beside the pipeline, not in it: a load that meets a
compaction is safe, but one of the two may have to start again. Let it run when loads do not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_lakehouse._compat import DAG  # airflow.sdk, where there is no Airflow 2
from airflow_lakehouse.operators.maintenance import IcebergMaintenanceOperator
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy

with DAG(
    dag_id="lakehouse_maintenance",
    schedule=None,  # or "@daily", at an hour without loads
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    doc_md=__doc__,
    tags=["lakehouse"],
):
    IcebergMaintenanceOperator(task_id="maintain", policy=MaintenancePolicy(orphan_days=3))
