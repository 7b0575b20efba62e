"""The example DAG, run for real: Airflow, Spark, Iceberg, OCR and dbt, on a small drop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.cli.airflow_home import AirflowHome

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(900)]


def test_a_drop_becomes_gold_and_a_second_run_changes_nothing(
    home: AirflowHome,
    run_dag: Callable[[], list[dict[str, Any]]],
    snapshots: Callable[[], dict[str, tuple[int | None, int]]],
) -> None:
    """Every record arrives and no text of one is left in Airflow; the same drop again commits no snapshot."""
    told = run_dag()
    assert told[-1]["state"] == "success", told
    results = {event["task"]: event["result"] for event in told if event["event"] == "success"}
    assert results["detect"]["kinds"] == {
        "docs": {"files": 1, "bytes": results["detect"]["kinds"]["docs"]["bytes"]},
        "fhir": {"files": 3, "bytes": results["detect"]["kinds"]["fhir"]["bytes"]},
    }
    assert results["detect"]["dt"] == ["2026-01-15", "2026-01-16"]
    assert results["read_documents"]["documents"] == 1
    assert results["bronze"]["quarantine"] == {"TRUNCATED_JSON": 1}
    first = snapshots()
    rows = {name: count for name, (_, count) in first.items()}
    assert (rows["bronze_fhir_patient"], rows["bronze_quarantine"], rows["bronze_docs_pages"]) == (2, 1, 1)
    assert (rows["silver_dim_patient"], rows["silver_fct_encounter"]) == (2, 1)
    assert rows["silver_fct_doc_blocks"] > 3
    assert (rows["gold_patient_encounter_summary"], rows["gold_docs_quality"]) == (2, 1)

    kept = (home.logs / "dag.log").read_bytes() + home.database.read_bytes()
    assert not [text for text in (b"wound has healed", b"Ravenscroft", b"1943-07-21") if text in kept]

    again = run_dag()
    assert again[-1]["state"] == "success", again
    assert snapshots() == first
