"""From a raw drop to gold tables: detect, bronze, read documents, silver, gold.

Bronze comes first, because it takes the documents out that came inside records; `documents` then loads what was read.

Everything this DAG needs to know about the world is in one connection called `lakehouse`: where the drop and the
warehouse are, which catalog holds the tables, where Spark runs and what reads the documents. Moving from a laptop to
AWS is another connection, not another DAG.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

from airflow_lakehouse._compat import DAG, Param, task  # airflow.sdk, where there is no Airflow 2
from airflow_lakehouse.days import PATTERN
from airflow_lakehouse.dbt.task_group import gold_task_group
from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.operators.documents import ReadDocumentsOperator
from airflow_lakehouse.operators.iceberg_spark import IcebergSparkOperator
from airflow_lakehouse.sensors.raw_drop import RawDropSensor

DAYS = Param(
    None,
    type=["null", "string"],
    pattern=PATTERN,
    description="Days of the drop: 2026-01-15, or 2026-01-01..2026-01-31; empty takes them all",
)
FULL = Param(False, type="boolean", description="Make silver anew from bronze: all of it, or what these days name")


@task
def gold() -> None:
    """Stand in for the gold models where Cosmos, which draws them, is not installed."""
    raise SetupError("Cosmos is not installed", remedy="pip install 'airflow-lakehouse[cosmos]'")


with DAG(
    dag_id="lakehouse",
    schedule=None,  # or "@daily", or the asset of another pipeline
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=15)},
    params={"dt": DAYS, "full": FULL},
    doc_md=__doc__,
    tags=["lakehouse"],
):
    day = "{{ params.dt or '' }}"

    detect = RawDropSensor(task_id="detect", dt=day, timeout=600, poke_interval=15)
    bronze = IcebergSparkOperator(task_id="bronze", job="raw_to_bronze", arguments={"dt": day})
    read_documents = ReadDocumentsOperator(task_id="read_documents", dt=day)
    documents = IcebergSparkOperator(task_id="documents", job="raw_to_bronze", arguments={"dt": day})
    anew = {"dt": day, "full": "{{ params.full }}"}
    silver = IcebergSparkOperator(task_id="silver", job="bronze_to_silver", arguments=anew)
    models = gold_task_group() if find_spec("cosmos") else gold()

    detect >> bronze >> read_documents >> documents >> silver >> models
