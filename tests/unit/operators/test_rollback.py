"""The rollback operator over a real catalog."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse._compat import AirflowFailException
from airflow_lakehouse.operators.rollback import IcebergRollbackOperator
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.iceberg.run_tags import tag_run
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import bronze, silver
from tests.unit.spark.tiny_rows import add_rows

if TYPE_CHECKING:
    from pathlib import Path

RUN = "manual__2026-01-15T06:00:00+00:00"


def test_a_task_sets_tables_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes back to a DAG run by its id, reports names and numbers alone, and fails at once on an unknown run."""
    profile = Profile(os.fspath(tmp_path / "warehouse"))
    extra = {"warehouse": profile.warehouse}
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE", json.dumps({"conn_type": "lakehouse", "extra": extra}))
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    ensure_tables(catalog, ())
    add_rows(catalog, bronze.PATIENT)
    tag_run(catalog, RUN)
    add_rows(catalog, bronze.PATIENT)
    add_rows(catalog, silver.PATIENT)
    result = IcebergRollbackOperator(task_id="back", to_run_id=RUN, tables=["bronze_fhir_patient"]).execute({})
    assert list(result["tables"]) == ["bronze.bronze_fhir_patient"], "silver without a watermark is not ahead"
    assert catalog.load_table(bronze.PATIENT.identifier).scan().count() == 1
    assert json.loads(json.dumps(result)) == result
    with pytest.raises(AirflowFailException, match=r"SnapshotNotFoundError: no table has a tag of run 'x'.*manual__"):
        IcebergRollbackOperator(task_id="back", to_run_id="x").execute({})
