"""The maintenance operator over a real catalog, a real runner and a small job: what is due decides whether it runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from airflow_lakehouse._compat import AirflowFailException, TaskDeferred
from airflow_lakehouse.hooks.spark import LocalRunner
from airflow_lakehouse.operators.maintenance import IcebergMaintenanceOperator
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import ops

ECHO_JOB = str(Path(__file__).with_name("echo_job.py"))
DUE = MaintenancePolicy(min_input_files=3)
NOT_DUE = MaintenancePolicy(min_input_files=4)


class Lakehouse:
    """A warehouse with one table of three small files, and a runner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.profile = Profile(os.fspath(folder / "wh"))
        self.runner = LocalRunner(root=folder / "jobs", command=(sys.executable, ECHO_JOB), grace_seconds=0.2)
        create_local_catalog(self.profile)
        create_table(load_pyiceberg(self.profile), ops.UNKNOWN_FIELDS)
        self.append(3)
        self.say("complete")

    def append(self, times: int) -> None:
        """Commit as many small files."""
        table = load_pyiceberg(self.profile).load_table(ops.UNKNOWN_FIELDS.identifier)
        schema = table.schema().as_arrow()
        for _ in range(times):
            row = dict.fromkeys(schema.names, "x") | {"first_seen": 0, "occurrences": 1}
            table.append(pa.Table.from_pylist([row], schema=schema))

    def say(self, word: str) -> None:
        """Tell the jobs what to do."""
        (self.folder / "partial").write_text(word)
        (self.folder / "partial").replace(self.folder / "control")

    def jobs(self) -> list[dict[str, Any]]:
        """Return what each job that was started was given."""
        return [json.loads(path.read_text()) for path in (self.folder / "jobs").glob("*/arguments.json")]

    def operator(self, policy: Any = None, **arguments: Any) -> IcebergMaintenanceOperator:
        """Return an operator on this runner."""
        defaults = {"runner": self.runner, "deferrable": False, "poll_seconds": 0.05}
        return IcebergMaintenanceOperator(task_id="maintain", policy=policy, **{**defaults, **arguments})

    @staticmethod
    def context(max_tries: int = 0) -> Any:
        """Return a context of one attempt."""
        ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="maintain", map_index=-1, max_tries=max_tries)
        return {"ti": ti, "dag_run": SimpleNamespace(start_date="1"), "outlet_events": {}}


@pytest.fixture
def lakehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lakehouse:
    """Return the lakehouse, with its connection."""
    extra = {"warehouse": str(tmp_path / "wh")}
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE", json.dumps({"conn_type": "lakehouse", "extra": extra}))
    monkeypatch.setenv("ECHO_CONTROL", str(tmp_path / "control"))
    return Lakehouse(tmp_path)


def test_nothing_due_submits_nothing(lakehouse: Lakehouse) -> None:
    """Below every threshold no job is started; the result has the shape of one that had nothing to do."""
    result = lakehouse.operator(NOT_DUE).execute(lakehouse.context())
    assert lakehouse.jobs() == []
    assert (result["status"], result["run_id"], result["tables"], result["rows"]) == ("unchanged", "run", {}, 0)
    assert (result["job"], result["job_id"], result["runner"]) == ("maintain", "", "local")


def test_what_is_due_is_done_by_a_job_with_the_policy(lakehouse: Lakehouse) -> None:
    """Past a threshold the job gets the policy, whole, and its counts come back; no asset is said to have changed."""
    operator = lakehouse.operator(DUE)
    result = operator.execute(lakehouse.context())
    (given,) = lakehouse.jobs()
    assert MaintenancePolicy.from_dict(given["policy"]) == DUE
    assert (result["status"], result["job"], result["rows"]) == ("complete", "maintain", 7)
    assert operator.outlets == []


def test_a_policy_may_be_given_by_its_fields(lakehouse: Lakehouse) -> None:
    """As a DAG in YAML or a template gives it; a field that does not exist fails at once."""
    assert lakehouse.operator({"min_input_files": "3"}).execute(lakehouse.context())["status"] == "complete"
    assert lakehouse.operator().execute(lakehouse.context(max_tries=1))["status"] == "unchanged"
    with pytest.raises(AirflowFailException, match="min_files"):
        lakehouse.operator({"min_files": 3}).execute(lakehouse.context(max_tries=2))


def test_a_retry_waits_for_the_job_although_nothing_is_due_any_more(lakehouse: Lakehouse) -> None:
    """A worker that dies leaves its job to the next attempt, also where the job has done its work meanwhile."""
    lakehouse.say("wait")
    with pytest.raises(TaskDeferred):
        lakehouse.operator(DUE, deferrable=True).execute(lakehouse.context())
    lakehouse.say("complete")
    result = lakehouse.operator(NOT_DUE).execute(lakehouse.context())
    assert (result["status"], len(lakehouse.jobs())) == ("complete", 1)
