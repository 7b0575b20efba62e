from __future__ import annotations

import importlib
import json
import sys
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from airflow_lakehouse import operators
from airflow_lakehouse._compat import AirflowException
from airflow_lakehouse.operators import review
from airflow_lakehouse.resources import resource_dir

with_people = pytest.mark.skipif(
    not review.HAS_HUMAN_IN_THE_LOOP, reason="Airflow before 3.1 has no tasks that wait for people"
)
PAGE: dict[str, Any] = {
    "doc_id": "a" * 64,
    "page": 2,
    "pages_in_document": 3,
    "confidence": 61.5,
    "engine": "rapidocr",
    "engine_version": "3.10",
    "sources": [["file:///raw/docs/a.pdf", "e", None, "default"]],
}


@with_people
@pytest.mark.parametrize("choice", sorted(review.CHOICES))
def test_an_answer_says_which_page_it_is_about(choice: str) -> None:
    """Answers of mapped tasks alone may lack one; each carries its page, so that none is taken for another's."""
    task = review.ReviewPageOperator(task_id="ask", document=PAGE)
    assert task.subject == "Page 2 of 3"
    assert "61.5" in str(task.body)
    event = {
        "chosen_options": [choice],
        "params_input": {},
        "responded_at": datetime(2026, 1, 3, tzinfo=UTC),
        "responded_by_user": {"id": "7", "name": "nurse"},
    }
    told = task.execute_complete({}, event)
    assert told["document"] == PAGE
    assert (told["decision"], told["by"]) == (review.CHOICES[choice], "nurse")
    json.dumps(told)


@with_people
def test_the_dag_of_reviews_is_off_until_somebody_asks() -> None:
    """It has no schedule and begins paused; the tasks come in the order that gives effect to an answer."""
    path = resource_dir("example_dags") / "document_review_dag.py"
    spec = importlib.util.spec_from_file_location("document_review_dag", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dag = module.bronze.dag
    assert dag.schedule is None
    assert dag.is_paused_upon_creation
    order = ["doubtful_pages", "ask", "apply", "bronze", "silver"]
    assert {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks} == {
        name: [after] if after else [] for name, after in zip(order, [*order[1:], ""], strict=True)
    }


class _Refusing(ModuleType):
    """The provider's module as it is on an Airflow it does not support."""

    def __getattr__(self, name: str) -> object:
        raise AirflowException("Human in the loop functionality needs Airflow 3.1+.")


@pytest.mark.parametrize("provider", [None, _Refusing("hitl")], ids=["absent", "refuses"])
def test_an_older_airflow_imports_it_and_has_no_such_task(
    provider: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no human-in-the-loop tasks the module says so, and everything else in it is there.

    Airflow 3.0 has the provider's module, whose import raises an error of Airflow's own.
    """
    monkeypatch.setitem(sys.modules, "airflow.providers.standard.operators.hitl", provider)
    monkeypatch.delitem(sys.modules, review.__name__)
    # The import sets the older module as its package's `review`, which a DAG parsed later would find there.
    monkeypatch.setattr(operators, "review", review)
    older = importlib.import_module(review.__name__)
    assert not older.HAS_HUMAN_IN_THE_LOOP
    assert not hasattr(older, "ReviewPageOperator")
    assert older.FindDoubtfulPagesOperator(task_id="find").below == 85.0
