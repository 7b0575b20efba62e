"""Run a sensor in either mode as Airflow does: its trigger goes through the database as JSON, and so does the event."""

from __future__ import annotations

import asyncio
import importlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_lakehouse._compat import BaseTrigger
    from airflow_lakehouse.sensors.base import FindingSensor

POKE, DEFERRED = "poke", "deferred"
MODES = (POKE, DEFERRED)
HASTE: dict[str, Any] = {"task_id": "wait", "poke_interval": 0.05, "timeout": 0.1}


def stored(trigger: BaseTrigger) -> BaseTrigger:
    """Return a trigger as the triggerer makes it, of what Airflow's database holds."""
    path, arguments = json.loads(json.dumps(trigger.serialize()))
    module, _, name = path.rpartition(".")
    made: BaseTrigger = getattr(importlib.import_module(module), name)(**arguments)
    return made


def fire(trigger: BaseTrigger) -> dict[str, Any]:
    """Return the payload of a trigger's first event, as the task gets it."""

    async def first() -> Any:
        return (await anext(aiter(trigger.run()))).payload

    event: dict[str, Any] = json.loads(json.dumps(asyncio.run(first())))
    return event


def wait(sensor: FindingSensor, mode: str, context: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a sensor finds, on the worker or by way of the triggerer."""
    context = {} if context is None else context
    sensor.deferrable = False
    if mode == POKE:
        found: dict[str, Any] = sensor.execute(context)  # type: ignore[arg-type] # part of a context
    else:
        found = sensor.execute_complete(context, fire(stored(sensor.make_trigger(context))))  # type: ignore[arg-type]
    assert json.loads(json.dumps(found)) == found
    return found
