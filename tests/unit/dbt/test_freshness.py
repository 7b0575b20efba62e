"""When a gold table is current, and what an Airflow task does then; a real catalog, no engine and no dbt."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from airflow_lakehouse.dbt import freshness
from airflow_lakehouse.dbt.manifest import read_manifest, sources_of_models
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.resources import resource_dir
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.iceberg.run_tags import points
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.catalog import Catalog

MODEL = "gold_encounter_utilization"
PROJECT = resource_dir("dbt_example")


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A lakehouse with every table and one gold table, all empty but for the gold one."""
    made = Profile(os.fspath(tmp_path / "warehouse"))
    create_local_catalog(made)
    catalog = load_pyiceberg(made)
    ensure_tables(catalog)
    catalog.create_namespace_if_not_exists(freshness.NAMESPACE)
    rows = pa.table({"a": pa.array([1])})
    catalog.create_table(f"gold.{MODEL}", schema=rows.schema).append(rows)
    return made


def _inputs(catalog: Catalog) -> str:
    return freshness.fingerprints(catalog, PROJECT)[MODEL]


def _is(catalog: Catalog, *marks: str) -> bool:
    return freshness.is_marked(catalog, MODEL, _inputs(catalog), *marks)


def test_built_is_not_yet_tested(profile: Profile) -> None:
    """A table is current for its tests only once they have passed, and noting it makes no snapshot."""
    catalog = load_pyiceberg(profile)
    assert not _is(catalog, freshness.BUILT, freshness.TESTED)
    freshness.mark(catalog, MODEL, _inputs(catalog), freshness.BUILT)
    assert _is(catalog, freshness.BUILT, freshness.TESTED)
    assert not _is(catalog, freshness.TESTED)
    freshness.mark_tested(catalog, MODEL)
    assert _is(catalog, freshness.TESTED)
    assert len(catalog.load_table(f"gold.{MODEL}").snapshots()) == 1


def test_what_moves_makes_it_stale(profile: Profile) -> None:
    """A commit to a source, or to the table itself, takes the note's word away; so does a source nobody can see."""
    catalog = load_pyiceberg(profile)
    freshness.mark(catalog, MODEL, _inputs(catalog), freshness.TESTED)
    source = next(iter(sources_of_models(read_manifest(PROJECT))[MODEL]))
    table = catalog.load_table(source)
    with table.transaction() as change:
        change.delete("true")
    assert _is(catalog, freshness.TESTED), "deleting nothing commits nothing"
    rows = pa.table({"a": pa.array([2])})
    catalog.load_table(f"gold.{MODEL}").append(rows)
    assert not _is(catalog, freshness.TESTED)
    freshness.mark(catalog, MODEL, _inputs(catalog), freshness.TESTED)
    catalog.rename_table(source, f"{source}_elsewhere")
    assert not _is(catalog, freshness.TESTED)


def _operator(command: str, **more: Any) -> Any:
    node = {"dbt_node_config": {"name": MODEL}}
    values = {"base_cmd": [command], "extra_context": node, "vars": None, "dbt_executable_path": "", "env": None}
    return SimpleNamespace(**{**values, **more})


def test_a_task_of_a_current_model_starts_nothing(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither engine nor dbt is asked for; other variables, another node or no note would have started them."""
    pytest.importorskip("airflow")
    from airflow_lakehouse.dbt import model_task
    from airflow_lakehouse.hooks.lakehouse import LakehouseHook

    monkeypatch.setattr(LakehouseHook, "get_profile", lambda _self: profile)
    asked: list[str] = []

    def refuse() -> None:
        asked.append("environment")
        raise LookupError

    monkeypatch.setattr("airflow_lakehouse.dbt.environment.ensure_environment", refuse)
    catalog = load_pyiceberg(profile)
    freshness.mark(catalog, MODEL, _inputs(catalog), freshness.BUILT)

    def prepare(operator: Any, *, skip: bool = True) -> str:
        model_task.prepare({}, operator, conn_id="lakehouse", project=PROJECT, skip_unchanged=skip)
        return str(operator.dbt_executable_path)

    assert prepare(_operator("run")).endswith("true")
    for starts in (_operator("test"), _operator("seed"), _operator("run", vars={"x": 1})):
        with pytest.raises(LookupError):
            prepare(starts)
    with pytest.raises(LookupError):
        prepare(_operator("run"), skip=False)
    assert len(asked) == 4

    results = tmp_path / "target"
    results.mkdir()
    tested = _operator("test")
    with pytest.raises(LookupError):
        prepare(tested)
    context: Any = {"ti": SimpleNamespace(task=tested)}
    (results / "run_results.json").write_text(json.dumps({"results": [{"status": "fail"}]}))
    model_task.finish(os.fspath(tmp_path), context=context)
    assert not _is(catalog, freshness.TESTED)
    (results / "run_results.json").write_text(json.dumps({"results": [{"status": "pass"}]}))
    model_task.finish(os.fspath(tmp_path), context=context)
    assert prepare(_operator("test")).endswith("true")


def test_a_task_that_changed_its_table_tags_it(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A model that was built anew is part of what its DAG run left; one that dbt left as it was tags nothing."""
    pytest.importorskip("airflow")
    from airflow_lakehouse.dbt import model_task
    from airflow_lakehouse.hooks.lakehouse import LakehouseHook

    monkeypatch.setattr(LakehouseHook, "get_profile", lambda _self: profile)
    catalog = load_pyiceberg(profile)
    freshness.mark(catalog, MODEL, _inputs(catalog), freshness.BUILT)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "run_results.json").write_text(json.dumps({"results": [{"status": "success"}]}))
    operator = _operator("run")
    context: Any = {"ti": SimpleNamespace(task=operator), "run_id": "scheduled__2026"}
    for rows in (None, pa.table({"a": pa.array([2])})):
        model_task.prepare(context, operator, conn_id="lakehouse", project=PROJECT, skip_unchanged=True)
        if rows:
            catalog.load_table(f"gold.{MODEL}").append(rows)
        model_task.finish(os.fspath(tmp_path), context=context)
        assert [point.name for point in points(catalog)] == (["scheduled__2026"] if rows else [])
