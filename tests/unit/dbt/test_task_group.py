"""Gold's tasks in Airflow: drawn without dbt, one a model, each with its own retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.dbt.environment import ENVIRONMENT_VARIABLE

pytest.importorskip("cosmos")

from airflow_lakehouse._compat import DAG
from airflow_lakehouse.dbt.task_group import gold_task_group

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {
    "gold_condition_prevalence",
    "gold_docs_quality",
    "gold_encounter_utilization",
    "gold_patient_encounter_summary",
}


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """The tasks of a DAG that is parsed where no dbt environment exists yet."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "not-made-yet"))
    with DAG("gold_tasks", schedule=None) as dag:
        gold_task_group(retries=1)
    assert "__cosmos_telemetry_metadata__" not in dag.params
    return {task.task_id: task for task in dag.tasks}


def test_one_task_builds_and_one_tests_each_model(tasks: dict[str, Any]) -> None:
    """A failing test can be retried without building the model again, and names the model it is of."""
    assert set(tasks) == {f"gold.{model}.{verb}" for model in MODELS for verb in ("run", "test")}
    for model in MODELS:
        assert tasks[f"gold.{model}.test"].upstream_task_ids == {f"gold.{model}.run"}


def test_a_model_keeps_its_own_retries(tasks: dict[str, Any]) -> None:
    """Every model of the example states two; the group's default of one is for those that state none."""
    assert {task.retries for task in tasks.values()} == {2}


def test_tasks_can_be_killed_and_install_nothing(tasks: dict[str, Any], tmp_path: Path) -> None:
    """dbt is a process of its own from the managed environment, without deps, assets or stored SQL."""
    for task in tasks.values():
        assert task.invocation_mode.value == "subprocess"
        assert task.dbt_executable_path == tmp_path / "not-made-yet" / "bin" / "lakehouse-dbt"
        assert task.install_deps is False
        assert task.emit_datasets is False
        assert task.should_store_compiled_sql is False
