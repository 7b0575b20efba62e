"""Why a trigger was cancelled: somebody acted on its task, or the triggerer goes down.

Airflow 3.3 says so (``BaseTrigger.on_kill``). Older ones cancel the trigger either way; there the state of the task
tells: one that still is deferred goes on in another triggerer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from airflow_lakehouse._compat import BaseTrigger

_log = logging.getLogger(__name__)
_DEFERRED: Final = "deferred"
_ANSWER_SECONDS: Final = 10.0

SAYS_SO: Final = hasattr(BaseTrigger, "on_kill")
"""Whether this Airflow tells a trigger that its task was killed."""


async def was_killed(ti: Any) -> bool:
    """Tell whether a task is deferred no more; False where that cannot be told, for then nothing may be stopped.

    :param ti: the task instance that Airflow sets on a trigger, or None.
    """
    if ti is None:
        return False
    try:
        state = await asyncio.wait_for(asyncio.to_thread(_state, ti), _ANSWER_SECONDS)
    except Exception as error:  # noqa: BLE001 - a triggerer that goes down may have no way to ask
        _log.warning(
            "The state of task %s cannot be told (%s); its job is left alone", ti.task_id, type(error).__name__
        )
        return False
    return state != _DEFERRED


def _state(ti: Any) -> str | None:
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    except ImportError:
        return _state_in_database(ti)
    states = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )[ti.run_id]
    # Of a mapped task the key has the index: https://github.com/apache/airflow/pull/64770
    mapped = f"{ti.task_id}_{ti.map_index}"
    state = states[mapped] if mapped in states else states[ti.task_id]
    return None if state is None else str(getattr(state, "value", state))


def _state_in_database(ti: Any) -> str | None:
    """Ask the database, which a triggerer of Airflow 2 may."""
    from airflow.models import TaskInstance
    from airflow.utils.session import create_session

    names = {name: getattr(ti, name) for name in ("dag_id", "task_id", "run_id", "map_index")}
    with create_session() as session:
        found = session.query(TaskInstance.state).filter_by(**names).one_or_none()
    return None if found is None or found[0] is None else str(found[0])
