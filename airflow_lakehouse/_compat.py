"""Airflow's names, from Airflow 3's Task SDK or from where Airflow 2.11 keeps them.

Features are detected, versions are never compared. Everything Airflow-facing in this package imports
Airflow from here, so that one file says what differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Asset, BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, PokeReturnValue, conf
    from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory
    from airflow.sdk.definitions.context import Context
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        TaskDeferralError,
        TaskDeferralTimeout,
    )
else:
    try:
        from airflow.sdk import Asset, BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, PokeReturnValue
        from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory
    except ImportError:  # Airflow 2.11
        from airflow.datasets import Dataset as Asset
        from airflow.decorators.base import DecoratedOperator, TaskDecorator, task_decorator_factory
        from airflow.hooks.base import BaseHook
        from airflow.models import BaseOperator
        from airflow.models.baseoperatorlink import BaseOperatorLink
        from airflow.sensors.base import BaseSensorOperator, PokeReturnValue
    try:
        from airflow.sdk import conf
    except ImportError:  # Airflow 2.11 and 3.0
        from airflow.configuration import conf
    try:
        from airflow.sdk.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSensorTimeout,
            AirflowSkipException,
            TaskDeferralError,
            TaskDeferralTimeout,
        )
    except ImportError:  # before Airflow 3.2
        from airflow.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSensorTimeout,
            AirflowSkipException,
            TaskDeferralError,
            TaskDeferralTimeout,
        )
    Context = dict[str, Any]

from airflow.triggers.base import BaseTrigger, TriggerEvent

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "Asset",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "Context",
    "DecoratedOperator",
    "PokeReturnValue",
    "TaskDecorator",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TriggerEvent",
    "conf",
    "default_deferrable",
    "is_timeout",
    "make_asset",
    "make_event",
    "read_xcom",
    "task_decorator_factory",
    "task_store",
]


def default_deferrable() -> bool:
    """Return Airflow's ``[operators] default_deferrable``. Asked when a task runs, never at import."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def make_asset(uri: str, name: str) -> Asset:
    """Return an asset; Airflow 2 calls it a dataset and knows it by its URI alone.

    :param uri: the identity of the data.
    :param name: what people call it.
    """
    try:
        return Asset(name=name, uri=uri)
    except TypeError:  # Airflow 2.11: Dataset(uri)
        return Asset(uri)


def make_event(payload: dict[str, Any]) -> TriggerEvent:
    """Return what a trigger yields.

    :param payload: JSON values.
    """
    return TriggerEvent(payload)  # type: ignore[no-untyped-call] # Airflow has no types here


def task_store(context: Context) -> Any:
    """Return the store that outlives a task's attempt (Airflow 3.3 and newer), or None.

    :param context: the task's context.
    """
    # It maps strings to JSON values through get and set; older Airflow has nothing like it.
    return context.get("task_state_store")


def is_timeout(error: Exception) -> bool:
    """Tell whether a deferral ended because its time was up.

    :param error: what resuming the task raised.
    """
    # Airflow 2 says it in the text alone.
    return isinstance(error, TaskDeferralTimeout) or "timeout" in str(error).lower()


def read_xcom(ti_key: Any, key: str) -> Any:
    """Return a value a task has stored, where this process may ask (Airflow 2's web server), or None.

    :param ti_key: which attempt of which run.
    :param key: of the value.
    """
    try:
        from airflow.models.xcom import XCom
    except ImportError:  # Airflow 3 reads the addresses of links itself
        return None
    read = getattr(XCom, "get_value", None)
    return read(ti_key=ti_key, key=key) if read else None
