"""``lakehouse up``: the same DAG under Airflow's scheduler, deferring to its triggerer."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.hooks.spark.process import is_running

if TYPE_CHECKING:
    from tests.end_to_end.airflow_up import Up

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(900)]

_AIRFLOWS_OWN = {"AirflowRuntimeError", "ServerResponseError"}


def test_the_dag_runs_under_a_scheduler_and_ctrl_c_stops_everything(up: Up) -> None:
    """A run triggered over the API goes green; Ctrl-C then ends every process and frees the port."""
    up.sign_in()
    up.wait_for_dag()
    run = up.start()
    state, tasks = up.wait(run), up.tasks(run)
    assert state == "success", {task["task_id"]: task["state"] for task in tasks}
    again = {task["task_id"]: up.errors(run, task["task_id"]) for task in tasks if task["try_number"] != 1}
    # A try may be lost to Airflow's own database, one file for five processes; none may be lost to us.
    assert all(errors <= _AIRFLOWS_OWN for errors in again.values()), again

    started = json.loads((up.home / "up.json").read_text())["started"].values()
    assert all(is_running(*process) for process in started)
    os.kill(up.process.pid, signal.SIGINT)
    assert up.process.wait(90) == 0
    assert not any(is_running(*process) for process in started)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", up.port)) != 0
