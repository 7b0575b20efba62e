"""Airflow's names, from Airflow 3's Task SDK or from where Airflow 2.11 keeps them.

Features are detected, versions are never compared. Everything Airflow-facing in this package imports
Airflow from here, so that one file says what differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import (
        DAG,
        Asset,
        AssetWatcher,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Connection,
        Param,
        PokeReturnValue,
        conf,
        task,
    )
    from airflow.sdk.definitions.context import Context
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralError,
        TaskDeferralTimeout,
        TaskDeferred,
    )
    from airflow.triggers.base import BaseEventTrigger
else:
    try:
        from airflow.sdk import (
            DAG,
            Asset,
            AssetWatcher,
            BaseOperator,
            BaseOperatorLink,
            BaseSensorOperator,
            Connection,
            Param,
            PokeReturnValue,
            task,
        )
    except ImportError:  # Airflow 2.11
        from airflow import DAG
        from airflow.datasets import Dataset as Asset
        from airflow.decorators import task
        from airflow.models import BaseOperator, Connection
        from airflow.models.baseoperatorlink import BaseOperatorLink
        from airflow.models.param import Param
        from airflow.sensors.base import BaseSensorOperator, PokeReturnValue

        AssetWatcher = None
    try:
        from airflow.sdk import BaseHook
    except ImportError:  # Airflow 2.11 and 3.0
        from airflow.hooks.base import BaseHook
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
            AirflowTaskTimeout,
            TaskDeferralError,
            TaskDeferralTimeout,
            TaskDeferred,
        )
    except ImportError:  # before Airflow 3.2
        from airflow.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSensorTimeout,
            AirflowSkipException,
            AirflowTaskTimeout,
            TaskDeferralError,
            TaskDeferred,
        )

        try:
            from airflow.exceptions import TaskDeferralTimeout
        except ImportError:  # Airflow 2.11 tells the two apart by their text alone
            TaskDeferralTimeout = TaskDeferralError
    try:
        from airflow.triggers.base import BaseEventTrigger
    except ImportError:  # Airflow 2.11, which watches no assets
        from airflow.triggers.base import BaseTrigger as BaseEventTrigger
    Context = dict[str, Any]

from airflow.triggers.base import BaseTrigger, TriggerEvent

__all__ = [
    "DAG",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "Asset",
    "AssetWatcher",
    "BaseEventTrigger",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "Connection",
    "Context",
    "Param",
    "PokeReturnValue",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskDeferred",
    "TriggerEvent",
    "conf",
    "default_deferrable",
    "is_timeout",
    "make_asset",
    "make_event",
    "read_xcom",
    "task",
    "task_store",
]


def default_deferrable() -> bool:
    """Return Airflow's ``[operators] default_deferrable``. Asked when a task runs, never at import."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def make_asset(uri: str, name: str, watchers: Mapping[str, BaseEventTrigger] | None = None) -> Asset:
    """Return an asset; Airflow 2 calls it a dataset, knows it by its URI alone, and has nothing watch it.

    :param uri: the identity of the data.
    :param name: what people call it.
    :param watchers: triggers that tell of news of it, by the name of the watch.
    """
    if watchers and AssetWatcher is not None:
        watches = [AssetWatcher(name=watch, trigger=trigger) for watch, trigger in watchers.items()]
        return Asset(name=name, uri=uri, watchers=watches)
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
    # By the text: Airflow 2 says it nowhere else, and there the class is that of every other end.
    return "timeout" in str(error).lower()


def read_xcom(ti_key: Any, key: str) -> Any:
    """Return a value a task has stored, where this process may ask (Airflow 2's web server), or None.

    :param ti_key: which attempt of which run.
    :param key: of the value.
    """
    from airflow.models import xcom

    # Airflow 3 has another class there, and reads the addresses of links itself.
    read = getattr(vars(xcom).get("XCom"), "get_value", None)
    return read(ti_key=ti_key, key=key) if read else None
