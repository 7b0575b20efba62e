"""Airflow's base of task decorators.

Not in :mod:`airflow_lakehouse._compat`: it takes a third of a second, which only DAGs with decorators shall pay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory
else:
    try:
        from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory
    except ImportError:  # Airflow 2.11
        from airflow.decorators.base import DecoratedOperator, TaskDecorator, task_decorator_factory

__all__ = ["DecoratedOperator", "TaskDecorator", "task_decorator_factory"]
