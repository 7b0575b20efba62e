"""What other parts of Airflow see of a Spark task: links, assets, partitions, lineage, XCom; and what none may see."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse._compat import DAG, AirflowException, TaskDeferred, task
from airflow_lakehouse.assets import create_asset, table_of
from airflow_lakehouse.decorators.iceberg_spark import iceberg_spark_task
from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.spark import JobHandle, LocalRunner, SparkConnectRunner
from airflow_lakehouse.links import LINKS, JobConsoleLink, JobLogsLink, SparkUiLink, named_links
from airflow_lakehouse.operators.outcome import JobOutcome
from airflow_lakehouse.operators.report import partition_keys

if TYPE_CHECKING:
    from tests.unit.operators.lakehouse_world import World


@dataclass(frozen=True)
class Linked(LocalRunner):
    """A service with pages about its jobs."""

    def links(self, handle: JobHandle) -> dict[str, str]:
        """Return two addresses, one under a label of the service's own."""
        return {"Logs": f"https://logs.example/{handle.job_id}", "Glue run": "https://console.example/run"}


def test_links_are_there_while_the_job_runs(world: World) -> None:
    """They are pushed before the task defers, and are what Airflow asks for after it; a failure names one."""
    world.say("wait")
    context = world.context()
    operator = world.operator(runner=Linked(**world.runner.options()), deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    job_id = deferred.value.trigger.handle["job_id"]
    logs, console = f"https://logs.example/{job_id}", "https://console.example/run"
    assert context["ti"].pushed == {"_link_JobLogsLink": logs, "_link_JobConsoleLink": console}
    key = SimpleNamespace()
    assert JobLogsLink().get_link(operator, ti_key=key) == logs
    assert JobConsoleLink().get_link(operator, ti_key=key) == console
    assert SparkUiLink().get_link(operator, ti_key=key) == ""
    world.say("JobFailedError")
    with pytest.raises(AirflowException, match=r"see https://(logs|console)\.example"):
        world.operator(runner=Linked(**world.runner.options())).execute(context)
    assert named_links({}) == {}
    assert len({link.xcom_key for link in LINKS}) == len(LINKS)


def test_asset_events_have_snapshots_counts_and_days(world: World) -> None:
    """The event of a changed table says what readers see now and saw before, and names its days as partitions."""
    world.say("snapshots")
    context = world.context()
    result = world.operator(arguments={"dt": "2026-01-30..2026-02-01"}).execute(context)
    (asset,) = context["outlet_events"]
    event = context["outlet_events"][asset]
    assert table_of(asset) == "bronze.bronze_fhir_patient"
    assert (event.extra["snapshot_before"], event.extra["snapshot_id"]) == (11, 12)
    assert (event.extra["rows"], event.extra["added"]) == (7, 7)
    assert event.partitions == ["2026-01-30", "2026-01-31", "2026-02-01"]
    assert (result["added"], result["rejected"], result["resources"]) == (7, 2, {"vcpu_hours": 0.5})
    (given,) = world.jobs()
    assert "bronze.bronze_fhir_patient" in given["tables"]


@pytest.mark.parametrize("dt", [None, "", "None", "2026-01-01..", "..2026-01-01", "2020-01-01..2026-01-01"])
def test_days_without_an_end_are_no_partitions(dt: str | None) -> None:
    """All days, half a range and ten years name no keys."""
    assert partition_keys(dt) == []


def test_a_table_of_the_users_own_is_an_outlet(world: World) -> None:
    """Its snapshots are asked for, and its event has them; an asset that is no table is left alone."""
    world.say("snapshots")
    daily = create_asset(catalog="lakehouse", namespace="gold", table="daily")
    other = create_asset(catalog="elsewhere", namespace="gold", table="daily")
    context = world.context()
    result = world.operator(job="collections:OrderedDict", outlets=[daily, other], arguments={"day": 1}).execute(
        context
    )
    (given,) = world.jobs()
    assert given["tables"] == ["gold.daily"]
    assert given["code"]["kwargs"] == {"day": 1}
    assert context["outlet_events"][daily].extra["snapshot_id"] == 22
    assert result["tables"]["gold.daily"] == {"snapshot_id": 22}
    assert other not in context["outlet_events"]


def test_a_decorated_function_is_a_job(world: World) -> None:
    """The session is no argument of the call; the others are checked when the DAG is parsed, and shipped."""
    decorate: Any = iceberg_spark_task
    with DAG("decorated", schedule=None):

        @decorate(runner=world.runner, poll_seconds=0.05)  # type: ignore[untyped-decorator]
        def count(spark: Any, day: str, *, least: int = 1) -> dict[str, int]:
            return {"rows": spark.table(day).count() + least}

        made: Any = count
        operator = made("2026-01-15", least=3).operator
        with pytest.raises(TypeError, match="day"):
            made()
    assert operator.task_id == "count"
    assert operator.execute(world.context())["job"] == "count"
    (given,) = world.jobs()
    assert given["code"]["function"] == "count"
    assert (given["code"]["args"], given["code"]["kwargs"]) == (["2026-01-15"], {"least": 3})
    assert "@decorate" not in given["code"]["source"]
    assert callable(task.iceberg_spark)


def test_the_runner_may_be_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name and options in place of the connection's; both are templates, and wrong ones are refused."""
    options = world.runner.options()
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE", json.dumps(_connection(world, "spark_connect")))
    operator = world.operator(runner="local", runner_options=options)
    assert operator.execute(world.context())["runner"] == "local"
    assert operator.test_connection()[0]
    is_well, said = world.operator(runner=None).test_connection()
    assert not is_well
    assert "url, conn_id or application_id" in said
    with pytest.raises(ConfigurationError):
        world.operator(on_clear="never")


def _connection(world: World, runner: str) -> dict[str, Any]:
    return {"conn_type": "lakehouse", "extra": {"warehouse": str(world.folder / "wh"), "runner": runner}}


@dataclass
class OperatorLineage:
    """As the OpenLineage provider has it."""

    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)


@pytest.fixture
def openlineage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the provider's one class: installed, its listener would take part in every other test."""
    module: Any = ModuleType("extractors")
    module.OperatorLineage = OperatorLineage
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage", ModuleType("openlineage"))
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage.extractors", module)


@pytest.mark.usefixtures("openlineage")
def test_lineage_has_tables_with_their_snapshots(world: World) -> None:
    """The datasets of a job are its tables, by name and by place; those it changed have a version and a row count."""
    pytest.importorskip("openlineage.client")
    world.say("snapshots")
    operator = world.operator()
    started = operator.get_openlineage_facets_on_start()
    assert [(one.namespace, one.name) for one in started.inputs] == [("file", str(world.folder / "raw"))]
    assert {one.name for one in started.outputs} >= {"bronze.bronze_fhir_patient", "bronze.bronze_quarantine"}
    operator.execute(world.context())
    ended = operator.get_openlineage_facets_on_complete(None)
    by_name = {one.name: one for one in ended.outputs}
    patient = by_name["bronze.bronze_fhir_patient"]
    assert patient.namespace == "iceberg://lakehouse"
    assert patient.facets["version"].datasetVersion == "12"
    assert patient.outputFacets["outputStatistics"].rowCount == 7
    assert patient.facets["symlinks"].identifiers[0].name.endswith("wh/bronze/bronze_fhir_patient")
    assert "source_uri" in {one.name for one in patient.facets["schema"].fields}
    assert "version" not in by_name["bronze.bronze_fhir_other"].facets
    silver = world.operator(job="bronze_to_silver").get_openlineage_facets_on_start()
    assert "bronze.bronze_fhir_patient" in {one.name for one in silver.inputs}


def test_without_openlineage_nothing_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the provider is not installed, the operator has nothing to tell it."""
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage.extractors", None)
    assert world.operator().get_openlineage_facets_on_start() is None


def test_no_secret_and_no_record_is_in_what_airflow_keeps(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Trigger, event, XCom, links, task store, asset events and log of a task with a token and a patient in its job."""
    secret, patient = "t0ken-of-connect", "Jane Roe"
    connection = {"conn_type": "generic", "host": "localhost", "port": 1, "password": secret}
    monkeypatch.setenv("AIRFLOW_CONN_CONNECT", json.dumps(connection))
    options = {**world.runner.options(), "root": world.folder / "jobs"}
    runner = SparkConnectRunner(conn_id="connect", **options)
    world.say("wait")
    context = world.context(store=world.store())
    operator = world.operator(runner=runner, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    trigger: Any = deferred.value.trigger
    world.say("complete")

    async def fire() -> Any:
        return (await anext(aiter(trigger.run()))).payload

    event = asyncio.run(fire())
    result = operator.execute_complete(context, event)
    assert result["rows"] == 7
    extras = [entry.extra for entry in context["outlet_events"].values()]
    seen = [trigger.serialize(), event, result, context["ti"].pushed, world.store().values(), extras, caplog.text]
    text = json.dumps(seen, default=str)
    assert secret not in text
    assert patient not in text
    kept = world.folder / "jobs" / result["job_id"]
    assert [path.name for path in kept.iterdir() if secret in path.read_text()] == []


def test_an_outcome_is_json() -> None:
    """Whatever a job reports, XCom gets JSON of known fields."""
    odd = {
        "tables": {"t": {"rows": 1, "text": "Jane Roe"}},
        "resources": {"vcpu_hours": "many"},
        "sample": ["Jane Roe"],
    }
    outcome = JobOutcome.of(JobHandle("local", "ab", "work"), odd).as_dict()
    assert outcome["tables"] == {"t": {"rows": 1}}
    assert outcome["resources"] == {}
    assert "Jane" not in json.dumps(outcome)
