"""Let people decide about pages that were read with little confidence.

Off by default: it runs when somebody triggers it, after the pipeline. Every page below the limit becomes a task that
waits for an answer in Airflow's list of required actions: approve the page, reject what was read, or have the other
engine read the document. The last two tasks give effect to the answers.

Human-in-the-loop tasks are part of Airflow 3.1 and newer; on an older one this DAG says so when it is run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import task  # type: ignore[no-redef,attr-defined,unused-ignore]
    from airflow.models.dag import DAG  # type: ignore[no-redef,assignment,unused-ignore]
    from airflow.models.param import Param  # type: ignore[no-redef,import-not-found,unused-ignore]

from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.operators import review
from airflow_lakehouse.operators.iceberg_spark import IcebergSparkOperator


@task
def needs_a_newer_airflow() -> None:
    """Stand in for the tasks below where Airflow has none that wait for people."""
    raise SetupError("this Airflow has no human-in-the-loop tasks", remedy="upgrade to Airflow 3.1 or newer")


with DAG(
    dag_id="lakehouse_document_review",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=15)},
    params={
        "below": Param(  # noqa: AIR311 - from Airflow 3's own place, where there is one
            85.0, type="number", minimum=0, maximum=100, description="Mean confidence of a page, 0 to 100"
        ),
        "engine": Param("tesserocr", type="string", description="The other engine"),  # noqa: AIR311 - as above
    },
    doc_md=__doc__,
    tags=["lakehouse"],
):
    if review.HAS_HUMAN_IN_THE_LOOP:
        doubtful = review.FindDoubtfulPagesOperator(task_id="doubtful_pages", below="{{ params.below }}")
        ask = review.ReviewPageOperator.partial(
            task_id="ask",
            retries=0,
            response_timeout=timedelta(days=7),
        ).expand(document=doubtful.output)
        # Pages nobody has answered for in a week are asked about again by the next run.
        decided = review.ApplyReviewsOperator(
            task_id="apply", answers=ask.output, engine="{{ params.engine }}", trigger_rule="all_done"
        )
        bronze = IcebergSparkOperator(task_id="bronze", job="raw_to_bronze", trigger_rule="none_failed")
        silver = IcebergSparkOperator(task_id="silver", job="bronze_to_silver")
        decided >> bronze >> silver
    else:
        needs_a_newer_airflow()
