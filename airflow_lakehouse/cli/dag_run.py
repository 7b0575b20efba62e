"""Run one DAG as a real DAG run in this process, and tell the parent how each task fares.

Started by ``lakehouse demo`` as ``python -m airflow_lakehouse.cli.dag_run DAG_ID EVENTS_FD``, with the environment of
an :class:`~airflow_lakehouse.cli.airflow_home.AirflowHome`. What Airflow prints goes to a log file; the events, one
JSON object a line, go to a pipe.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from airflow.sdk import DAG


def run(dag_id: str, events: TextIO) -> bool:
    """Run a DAG of the configured folder.

    :param dag_id: its id.
    :param events: where events go.
    :return: whether every task succeeded.
    """
    dag: Any = load_dag(dag_id)
    _send(events, {"event": "dag", "tasks": [task.task_id for task in dag.topological_sort()]})
    for task in dag.tasks:
        for kind in ("execute", "success", "failure", "retry", "skipped"):
            _add_callback(task, kind, _tell(events, kind))
    dag_run = dag.test()
    states = {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()}
    _send(events, {"event": "end", "state": str(dag_run.state), "run_id": dag_run.run_id, "tasks": states})
    return str(dag_run.state) == "success"


def load_dag(dag_id: str) -> DAG:
    """Return a DAG of the configured folder.

    :param dag_id: its id.
    :raises ConfigurationError: when the folder has no such DAG; the message has the reason where a file is broken.
    """
    from airflow.dag_processing.dagbag import DagBag

    from airflow_lakehouse.exceptions import ConfigurationError

    bag = DagBag()
    dag: Any = bag.dags.get(dag_id)
    if dag is None:
        reasons = "; ".join(text.strip().splitlines()[-1] for text in bag.import_errors.values())
        raise ConfigurationError(
            f"there is no DAG {dag_id!r}: {reasons or 'no file has it'}", legal=", ".join(bag.dags)
        )
    found: DAG = dag
    return found


def _add_callback(task: Any, kind: str, callback: Callable[[Any], None]) -> None:
    name = f"on_{kind}_callback"
    given = getattr(task, name, None) or []
    # Callbacks of the DAG's author stay; ours joins them.
    setattr(task, name, [*(given if isinstance(given, (list, tuple)) else [given]), callback])


def _tell(events: TextIO, kind: str) -> Callable[[Any], None]:
    def callback(context: Any) -> None:
        ti = context["ti"]
        event = {"event": kind, "task": ti.task_id, "try": ti.try_number}
        if kind in ("failure", "retry"):
            event["reason"] = f"{context.get('exception')}"
        if kind == "success" and ti.task.do_xcom_push:
            result = ti.xcom_pull(task_ids=ti.task_id)
            event["result"] = result if isinstance(result, dict) else None
        _send(events, event)

    return callback


def _send(events: TextIO, event: dict[str, Any]) -> None:
    events.write(f"{json.dumps(event, default=str)}\n")
    events.flush()


def main(arguments: list[str]) -> int:
    """Run what the arguments name.

    :param arguments: DAG id and file descriptor of the pipe.
    """
    dag_id, descriptor = arguments
    with os.fdopen(int(descriptor), "w") as events:
        return 0 if run(dag_id, events) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
