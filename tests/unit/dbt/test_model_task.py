"""What a gold task of Airflow gives dbt: today's gold, or gold as of a moment; no dbt and no engine is started."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.dbt import environment, freshness, model_task
from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.resources import resource_dir
from airflow_lakehouse.spark.engine import connect_server
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import bronze, silver

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = resource_dir("dbt_example")
MODEL = "gold_encounter_utilization"
CONTEXT: Any = {"run_id": "run", "as_of": "2000-01-01"}


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Return a lakehouse with empty tables, named by a connection, and no engine behind it."""
    profile = Profile(str(tmp_path / "warehouse"))
    create_local_catalog(profile)
    for table in (*silver.TABLES, bronze.DOCS_PAGES):
        create_table(load_pyiceberg(profile), table)
    extra = {"warehouse": profile.warehouse}
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE", json.dumps({"conn_type": "lakehouse", "extra": extra}))
    monkeypatch.setattr(connect_server, "hold_server", lambda: nullcontext(SimpleNamespace(remote="sc://nowhere")))
    monkeypatch.setattr(environment, "ensure_environment", lambda: SimpleNamespace(dbt=tmp_path / "dbt"))
    return profile


class Operator(SimpleNamespace):
    """As much of a Cosmos operator as is looked at."""

    def __init__(self) -> None:
        node = {"dbt_node_config": {"name": MODEL}}
        super().__init__(extra_context=node, vars={}, base_cmd=["run"], env={}, dbt_executable_path="")

    def render_template(self, text: str, context: dict[str, str]) -> str:
        """Render the one template there is."""
        return text.replace("{{ as_of }}", context["as_of"]).replace("{{ nothing }}", "None")


def _prepare(**more: Any) -> Operator:
    operator = Operator()
    model_task.prepare(CONTEXT, operator, conn_id="lakehouse", project=PROJECT, skip_unchanged=True, **more)
    return operator


def test_gold_as_of_a_moment_reads_snapshots_and_goes_elsewhere(profile: Profile) -> None:
    """Every source gold reads is named with the snapshot it had, and the tables are those of the other namespace."""
    operator = _prepare(as_of="{{ as_of }}", namespace="gold_then")
    assert operator.env["LAKEHOUSE_GOLD_SCHEMA"] == "gold_then"
    told = json.loads(operator.env["LAKEHOUSE_SOURCES_AS_OF"])
    assert set(told) >= {"silver.silver_dim_patient", "bronze.bronze_docs_pages"}
    assert set(told.values()) == {None}
    run = vars(operator)["_lakehouse_run"]
    assert run.model == f"gold_then.{MODEL}"
    # Empty then and empty now is the same: built once, it is current for both.
    assert run.inputs == freshness.fingerprints(load_pyiceberg(profile), PROJECT)[MODEL]


def test_todays_gold_is_told_so(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable somebody has set in the worker's shell leads no task elsewhere."""
    monkeypatch.setenv("LAKEHOUSE_GOLD_SCHEMA", "gold_then")
    operator = _prepare()
    assert (operator.env["LAKEHOUSE_GOLD_SCHEMA"], operator.env["LAKEHOUSE_SOURCES_AS_OF"]) == ("", "")
    assert vars(operator)["_lakehouse_run"].model == f"gold.{MODEL}"


def test_a_moment_that_renders_to_nothing_is_refused(profile: Profile) -> None:
    """A parameter nobody has given must build neither today's gold there nor gold of then here."""
    with pytest.raises(ConfigurationError, match="namespace 'gold_then' alone"):
        _prepare(as_of="{{ nothing }}", namespace="gold_then")
    with pytest.raises(ConfigurationError, match="'2000-01-01', alone"):
        _prepare(as_of="{{ as_of }}")
