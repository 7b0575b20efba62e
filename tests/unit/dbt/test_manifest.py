"""The manifest Airflow draws its tasks from, and the rules every gold model keeps."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from airflow_lakehouse.dbt.manifest import MANIFEST_FILE, _trim, read_manifest, sources_of_models
from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.resources import resource_dir
from airflow_lakehouse.tables import by_name

GOLD = (
    "gold_condition_prevalence",
    "gold_docs_quality",
    "gold_encounter_utilization",
    "gold_patient_encounter_summary",
)
PROJECT = resource_dir("dbt_example")


def test_manifest_holds_the_gold_models_and_is_small() -> None:
    """Every DAG parse reads it: it is a fortieth of dbt's own and names no machine."""
    manifest = read_manifest(PROJECT)
    models = sorted(node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "model")
    assert tuple(models) == GOLD
    assert (PROJECT / MANIFEST_FILE).stat().st_size < 40_000


def test_gold_reads_tables_that_exist() -> None:
    """What decides whether gold is stale are real tables of silver, and the ledger of pages."""
    sources = sources_of_models(read_manifest(PROJECT))
    assert sources["gold_docs_quality"] == {"bronze.bronze_docs_pages", "silver.silver_fct_doc_blocks"}
    for table in set().union(*sources.values()):
        assert by_name(table).identifier == table


@pytest.mark.parametrize("name", GOLD)
def test_every_model_states_what_it_promises(name: str) -> None:
    """One .sql and one .yml a model; the grain, its own retries, typed columns, a test of the key, a unit test."""
    assert (PROJECT / "models" / "marts" / f"{name}.sql").is_file()
    stated = yaml.safe_load((PROJECT / "models" / "marts" / f"{name}.yml").read_text(encoding="utf-8"))
    [model] = stated["models"]
    assert model["config"]["meta"]["grain"].startswith("one row per ")
    assert model["config"]["meta"]["cosmos"]["operator_kwargs"]["retries"] >= 1
    assert all(column["data_type"] and column["description"] for column in model["columns"])
    assert any("unique_combination" in test for test in model["data_tests"])
    assert all(unit["model"] == name for unit in stated["unit_tests"])
    node = read_manifest(PROJECT)["nodes"][f"model.lakehouse_gold.{name}"]
    assert node["config"]["meta"] == model["config"]["meta"], "run python -m airflow_lakehouse.dbt.manifest"


def test_order_survives_an_ephemeral_model() -> None:
    """A model that reads another through an ephemeral one still waits for it."""

    def node(name: str, *parents: str, kind: str = "table", resource: str = "model") -> dict[str, Any]:
        fields = dict.fromkeys(("name", "package_name", "original_file_path", "fqn", "tags"), name)
        return {
            **fields,
            "unique_id": name,
            "resource_type": resource,
            "depends_on": {"nodes": list(parents)},
            "config": {"materialized": kind},
        }

    nodes = [
        node("a"),
        node("eph", "a", kind="ephemeral"),
        node("b", "eph"),
        node("t_b", "b", resource="test", kind="test"),
        node("t_eph", "eph", resource="test", kind="test"),
    ]
    trimmed = _trim({"metadata": {"project_name": "p"}, "nodes": {n["unique_id"]: n for n in nodes}, "sources": {}})
    assert {name: n["depends_on"]["nodes"] for name, n in trimmed["nodes"].items()} == {
        "a": [],
        "b": ["a"],
        "t_b": ["b"],
    }


def test_a_project_without_manifest_says_how_to_make_one(tmp_path: Any) -> None:
    """A user's own project gets the command, not a traceback."""
    with pytest.raises(SetupError, match=r"python -m airflow_lakehouse\.dbt\.manifest"):
        read_manifest(tmp_path)
