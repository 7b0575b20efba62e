"""How the outcome of a dbt build is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_lakehouse.dbt.build import _judge
from airflow_lakehouse.dbt.freshness import hash_of_project
from airflow_lakehouse.exceptions import AuditError, JobError

LOGS = Path("logs")
MODEL = {"unique_id": "model.p.gold_a", "status": "success", "message": "OK"}


def test_a_failing_test_is_an_audit() -> None:
    """Every model was built and a check of the data failed: exit code 3, with the test's name."""
    test = {"unique_id": "test.p.every_page_is_accounted_for", "status": "fail", "message": "Got 1 result"}
    with pytest.raises(AuditError, match=r"test every_page_is_accounted_for.*dbt\.out"):
        _judge([MODEL, test], LOGS)


def test_a_failing_model_is_a_failed_job_without_its_message() -> None:
    """dbt's message may quote a value of a row: the error names the model and the log."""
    model = {"unique_id": "model.p.gold_b", "status": "error", "message": "value 'Smith' cannot be cast"}
    with pytest.raises(JobError, match="model gold_b") as caught:
        _judge([MODEL, model], LOGS)
    assert "Smith" not in str(caught.value)


def test_a_test_that_cannot_run_is_a_failed_job() -> None:
    """It says nothing about the data, so it is not an audit."""
    with pytest.raises(JobError, match="test t"):
        _judge([MODEL, {"unique_id": "test.p.t", "status": "error"}], LOGS)


def test_warnings_pass() -> None:
    """A test of severity warn is reported and stops nothing."""
    results = [MODEL, {"unique_id": "test.p.t", "status": "pass"}, {"unique_id": "test.p.w", "status": "warn"}]
    assert _judge(results, LOGS) == (1, ("w",))


def test_hash_of_a_project_ignores_what_dbt_leaves_there(tmp_path: Path) -> None:
    """A model's change makes gold stale; a log or artifact does not."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.sql").write_text("select 1")
    first = hash_of_project(tmp_path)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "manifest.json").write_text("{}")
    assert hash_of_project(tmp_path) == first
    (tmp_path / "models" / "a.sql").write_text("select 2")
    assert hash_of_project(tmp_path) != first
