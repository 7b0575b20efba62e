"""The Spark operator over a real runner and real (small) jobs: waiting, deferring, re-attaching, failing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse._compat import AirflowException, AirflowFailException, TaskDeferred
from airflow_lakehouse.assets import job_assets
from airflow_lakehouse.hooks.spark import JobHandle, JobState
from airflow_lakehouse.operators.outcome import JobOutcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.operators.lakehouse_world import World


@pytest.fixture
def lakehouse(world: World) -> World:
    """Return the lakehouse under the name these tests have for it."""
    return world


def _wait(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_counts_come_back_and_nothing_else(lakehouse: World) -> None:
    """The result has the job's counts; a sample of records that a job might add never reaches XCom."""
    context = lakehouse.context()
    result = lakehouse.operator(arguments={"dt": "2026-01-15", "source_system": "None"}).execute(context)
    assert result["tables"] == {"bronze_fhir_patient": {"rows": 7, "added": 7, "updated": 0, "deleted": 0}}
    assert (result["rows"], result["quarantine"], result["batch_id"]) == (7, {"INVALID_JSON": 2}, "b1")
    assert "Jane Roe" not in json.dumps(result)
    (given,) = lakehouse.jobs()
    assert given["run_id"] == "run"
    assert (given["dt"], given["source_system"]) == ("2026-01-15", None)
    assert given["profile"]["warehouse"] == str(lakehouse.folder / "wh")


def test_wrong_days_start_no_job(lakehouse: World) -> None:
    """A range is handed on as it is; what names no days fails at once, is not retried, and starts nothing."""
    with pytest.raises(AirflowFailException, match="'2026-01' names no days"):
        lakehouse.operator(arguments={"dt": "2026-01"}).execute(lakehouse.context())
    assert lakehouse.jobs() == []
    lakehouse.operator(arguments={"dt": "2026-01-01..2026-01-31", "full": "True"}).execute(lakehouse.context())
    (given,) = lakehouse.jobs()
    assert (given["dt"], given["full"]) == ("2026-01-01..2026-01-31", "True")


def test_assets_say_what_changed(lakehouse: World) -> None:
    """The assets of changed tables carry batch and counts; those of other tables carry nothing."""
    context = lakehouse.context()
    operator = lakehouse.operator()
    assert [asset.uri for asset in operator.outlets] == [asset.uri for asset in job_assets("raw_to_bronze")]
    operator.execute(context)
    extras = {asset.uri: event.extra for asset, event in context["outlet_events"].items()}
    expected = {"batch_id": "b1", "run_id": "run", "rows": 7, "added": 7, "updated": 0, "deleted": 0}
    assert extras == {"iceberg://lakehouse/bronze/bronze_fhir_patient": expected}


@pytest.mark.parametrize("has_store", [False, True], ids=["without a task store", "with a task store"])
def test_a_retry_waits_for_the_job_of_the_attempt_that_died(lakehouse: World, *, has_store: bool) -> None:
    """A worker that dies while its job runs leaves it to the next attempt: one job, one result."""
    store = lakehouse.store() if has_store else None
    lakehouse.say("wait")
    context = lakehouse.context(max_tries=2, store=store)
    with pytest.raises(TaskDeferred):  # the first attempt goes away while the job runs
        lakehouse.operator(deferrable=True).execute(context)
    threading.Timer(0.3, lakehouse.say, ["complete"]).start()
    assert lakehouse.operator().execute(context)["rows"] == 7
    assert len(lakehouse.jobs()) == 1
    if store is not None:
        assert len({entry["handle"]["job_id"] for entry in store.values()}) == 1


def test_a_retry_takes_the_result_of_a_job_that_ended_meanwhile(lakehouse: World) -> None:
    """The job succeeded but the worker died before it could say so: the retry says it, and runs nothing."""
    context = lakehouse.context(max_tries=1)
    first = lakehouse.operator().execute(context)
    assert lakehouse.operator().execute(context) == first
    assert len(lakehouse.jobs()) == 1


def test_clearing_a_task_runs_its_job_again(lakehouse: World) -> None:
    """Somebody clears a task that succeeded: Airflow raises max_tries, and a new job with a run of its own starts."""
    lakehouse.operator(retries=1).execute(lakehouse.context(max_tries=1))
    lakehouse.operator(retries=1).execute(lakehouse.context(max_tries=2))
    assert [job["run_id"] for job in lakehouse.jobs()] == ["run", "run.1"]


def test_a_new_run_of_the_same_name_is_another_run(lakehouse: World) -> None:
    """Another deployment, or a deleted and repeated DAG run, may have the same run id; it must not find old jobs."""
    lakehouse.operator().execute(lakehouse.context(started="1"))
    lakehouse.operator().execute(lakehouse.context(started="2"))
    assert len(lakehouse.jobs()) == 2


def test_a_retry_after_a_failure_starts_again(lakehouse: World) -> None:
    """A failed job is not found again for ever: the retry starts another."""
    context = lakehouse.context(max_tries=2, store=lakehouse.store())
    lakehouse.say("EngineError")
    with pytest.raises(AirflowException, match="EngineError: job 'raw_to_bronze' failed: as it was told"):
        lakehouse.operator().execute(context)
    lakehouse.say("complete")
    assert lakehouse.operator().execute(context)["rows"] == 7
    assert len(lakehouse.jobs()) == 2


@pytest.mark.parametrize("error", ["InputError", "AuditError"])
def test_what_a_retry_cannot_mend_is_not_retried(lakehouse: World, error: str) -> None:
    """A wrong input or an audit that does not hold fails the task at once."""
    lakehouse.say(error)
    with pytest.raises(AirflowFailException, match="as it was told"):
        lakehouse.operator(retries=3).execute(lakehouse.context())


def test_a_job_that_runs_on_is_deferred_and_resumed(lakehouse: World) -> None:
    """The worker hands over to the trigger, whose event brings the result."""
    lakehouse.say("wait")
    context = lakehouse.context()
    operator = lakehouse.operator(deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    threading.Timer(0.3, lakehouse.say, ["complete"]).start()

    async def fire() -> dict[str, Any]:
        return dict((await anext(aiter(deferred.value.trigger.run()))).payload)

    event = json.loads(json.dumps(asyncio.run(fire())))
    assert getattr(operator, deferred.value.method_name)(context, event)["rows"] == 7


def test_a_job_that_has_ended_is_not_deferred(lakehouse: World) -> None:
    """What is done already saves the way through the triggerer."""
    context = lakehouse.context(max_tries=1)
    lakehouse.operator().execute(context)
    assert lakehouse.operator(deferrable=True).execute(context)["rows"] == 7


def test_time_that_is_up_stops_the_job(lakehouse: World) -> None:
    """In both modes, a job that may not run longer is stopped, not left behind."""
    lakehouse.say("wait")
    operator = lakehouse.operator(job_timeout=timedelta(seconds=0.2))
    with pytest.raises(AirflowException, match="longer than it may"):
        operator.execute(lakehouse.context())
    context = lakehouse.context(started="later")
    with pytest.raises(TaskDeferred) as deferred:
        lakehouse.operator(deferrable=True).execute(context)
    event = {"status": "timeout", "reason": "too long", "error_type": "JobError"}
    given: Any = {**event, "handle": deferred.value.trigger.handle}
    with pytest.raises(AirflowException, match="too long"):
        lakehouse.operator().execute_complete(context, given)
    assert set(lakehouse.states()) == {JobState.CANCELLED}


def test_a_killed_task_stops_its_job(lakehouse: World) -> None:
    """on_kill reaches the job of the attempt that waits; a retry would otherwise run beside it."""
    pytest.importorskip("airflow.sdk", reason="Airflow 2 runs operators in the main thread alone")
    lakehouse.say("wait")
    operator = lakehouse.operator()
    failures: list[Exception] = []

    def wait() -> None:
        try:
            operator.execute(lakehouse.context())
        except AirflowException as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    _wait(lakehouse.jobs)
    _wait(lambda: operator._task_job and operator._task_job.handle)
    operator.on_kill()
    thread.join(10)
    assert "was stopped" in str(failures[0])


def test_a_job_whose_machine_is_gone_is_started_again(lakehouse: World) -> None:
    """A stored job that cannot be reached does not block the task for ever; loads are exactly-once."""
    store = lakehouse.store()
    context = lakehouse.context(store=store)
    lakehouse.operator().execute(context)
    for path in store.folder.iterdir():
        entry = store.get(path.name)
        store.set(path.name, {**entry, "handle": {**entry["handle"], "host": "a machine that is no more"}})
    assert lakehouse.operator().execute(context)["rows"] == 7
    assert len(lakehouse.jobs()) == 2


def test_arguments_are_checked(lakehouse: World) -> None:
    """An argument no job takes is refused before anything starts."""
    with pytest.raises(AirflowFailException, match="day"):
        lakehouse.operator(arguments={"day": "2026-01-15"}).execute(lakehouse.context())
    assert lakehouse.jobs() == []


def test_small_results_stay_small() -> None:
    """Only known fields and whole numbers pass, and a hundred tables at most."""
    tables = {f"t{number}": {"rows": 1, "text": "Jane Roe"} for number in range(500)}
    reported = {"tables": tables, "quarantine": None, "rows_sample": ["Jane Roe"]}
    result = JobOutcome.of(JobHandle("local", "ab", "raw_to_bronze"), reported).as_dict()
    assert len(result["tables"]) == 100
    assert "Jane Roe" not in json.dumps(result)
