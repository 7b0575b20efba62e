"""People decide about pages in a running Airflow, and the tables say what they decided."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.airflow_home import AirflowHome
from airflow_lakehouse.cli.sample import write_sample
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.tables import bronze, silver
from tests.end_to_end.airflow_up import Up

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.thorough, pytest.mark.timeout(1200)]

DAG = "lakehouse_document_review"
KINDS_OF_DOCUMENTS = 5  # scans of one page and of two are among them


def _answer(up: Up, run: str) -> dict[int, str]:
    """Approve the first page and reject the others, as a person does in the list of required actions."""
    answered: dict[int, str] = {}
    deadline = time.monotonic() + 300
    while len(answered) < 3:
        assert time.monotonic() < deadline, up.tasks(run)
        for asked in up.ask("/api/v2/dags/~/dagRuns/~/hitlDetails")["hitl_details"]:
            place = asked["task_instance"]["map_index"]
            if place not in answered:
                answered[place] = "Reject" if answered else "Approve"
                said = {"chosen_options": [answered[place]], "params_input": {}}
                up.ask(f"{run}/taskInstances/ask/{place}/hitlDetails", said, "PATCH")
        time.sleep(1)
    return answered


def test_what_people_decide_is_what_silver_has(tmp_path: Path) -> None:
    """A page that is approved stays, pages that are rejected leave silver, and bronze says who decided what."""
    write_sample(tmp_path / "raw", patients=3, documents=KINDS_OF_DOCUMENTS, days=1)
    up = Up(tmp_path)
    try:
        up.sign_in()
        up.wait_for_dag(DAG)
        assert up.wait(up.start()) == "success"
        up.ask(f"/api/v2/dags/{DAG}", {"is_paused": False}, "PATCH")
        run = up.start(DAG, {"below": 100})
        answered = _answer(up, run)
        assert up.wait(run) == "success", up.tasks(run)
        # An answer that is lost to a broken database leaves the run green: its page is asked about again.
        assert {task["state"] for task in up.tasks(run)} == {"success"}, up.tasks(run)
        asked = up.ask(f"{run}/taskInstances/doubtful_pages/xcomEntries/return_value?deserialize=true")["value"]
        pages, blocks = _tables(tmp_path / "home")
    finally:
        up.stop()
    reviews = {"Approve": "approved", "Reject": "rejected"}
    decided = {(page["doc_id"], page["page"]): reviews[answered[place]] for place, page in enumerate(asked)}
    assert {key: review for key, review in pages.items() if review} == decided
    assert {key for key, review in decided.items() if review == "approved"} <= blocks
    assert not blocks & {key for key, review in decided.items() if review == "rejected"}


def _tables(home: Path) -> tuple[dict[tuple[str, int], Any], set[tuple[str, int]]]:
    """Return what was decided of each page in bronze, and the pages that have blocks in silver."""
    catalog = load_pyiceberg(AirflowHome(home).profile)
    pages = catalog.load_table(bronze.DOCS_PAGES.identifier).scan().to_arrow().to_pylist()
    blocks = catalog.load_table(silver.DOC_BLOCKS.identifier).scan().to_arrow().to_pylist()
    return (
        {(row["doc_id"], row["page"]): row["review"] for row in pages},
        {(row["doc_id"], row["page"]) for row in blocks},
    )
