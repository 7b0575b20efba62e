"""``@task.iceberg_spark``: a function of the DAG file that runs on Spark, wherever the connection says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.decorators.base import DecoratedOperator, task_decorator_factory
from airflow_lakehouse.operators.iceberg_spark import IcebergSparkOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.decorators.base import TaskDecorator


class IcebergSparkDecoratedOperator(DecoratedOperator, IcebergSparkOperator):
    """An :class:`IcebergSparkOperator` whose job is a decorated function.

    :param python_callable: the function. Its first argument is a session on the lakehouse.
    :param op_args: its further positional arguments. (templated)
    :param op_kwargs: its named arguments. (templated)
    :param kwargs: as for :class:`IcebergSparkOperator`, except for ``job`` and ``arguments``.
    """

    template_fields = (*DecoratedOperator.template_fields, *IcebergSparkOperator.template_fields)
    template_fields_renderers = {  # noqa: RUF012 - as Airflow's own
        **DecoratedOperator.template_fields_renderers,
        **IcebergSparkOperator.template_fields_renderers,
    }
    custom_operator_name = "@task.iceberg_spark"

    def __init__(self, *, python_callable: Callable[..., Any], **kwargs: Any) -> None:
        # Airflow checks the call when the DAG is parsed, and there is no session then.
        super().__init__(python_callable=partial(python_callable, None), job=python_callable, **kwargs)
        self.python_callable = python_callable

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the function as a job.

        :param context: the task's context.
        """
        return IcebergSparkOperator.execute(self, context)

    def user_arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Return what the function is called with, after the session."""
        return list(self.op_args), dict(self.op_kwargs)


def iceberg_spark_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a task of a function; Airflow calls this for ``@task.iceberg_spark``.

    ::

        @task.iceberg_spark(outlets=[create_asset(catalog="lakehouse", namespace="gold", table="daily")])
        def daily(spark, day: str) -> dict:
            rows = spark.table("silver.silver_fct_encounter").where(f"date(period_start) = '{day}'")
            rows.writeTo("gold.daily").overwritePartitions()
            return {"rows": rows.count()}

        daily(day="{{ ds }}")

    The function goes to the job as its source: what it needs, it imports or is given.

    :param python_callable: the function.
    :param kwargs: as for :class:`IcebergSparkOperator`.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=IcebergSparkDecoratedOperator, **kwargs
    )
