"""One job, whoever dies, and none left behind by who is killed. Workers are real processes, killed with SIGKILL."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse._compat import (
    AirflowException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
)
from airflow_lakehouse.exceptions import EngineError, JobLostError, JobTimeoutError, ThrottledError
from airflow_lakehouse.hooks.spark import JobHandle, JobStatus, LocalRunner
from airflow_lakehouse.hooks.spark import patience as patience_module
from airflow_lakehouse.triggers import task_state
from airflow_lakehouse.triggers.spark_job import SparkJobTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.unit.operators.lakehouse_world import World

ROOT = Path(__file__).parents[3]
FAIL = "__fail__"


def _until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def _die(world: World, where: str, *, has_store: bool) -> None:
    command = [sys.executable, "-m", "tests.unit.operators.dying_worker", str(world.folder), where, str(int(has_store))]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr


def _defer(world: World, context: Any, **arguments: Any) -> SparkJobTrigger:
    with pytest.raises(TaskDeferred) as deferred:
        world.operator(deferrable=True, **arguments).execute(context)
    trigger = deferred.value.trigger
    assert isinstance(trigger, SparkJobTrigger)
    return trigger


def _fire(trigger: SparkJobTrigger) -> Any:
    async def first() -> Any:
        return (await anext(aiter(trigger.run()))).payload

    return json.loads(json.dumps(asyncio.run(first())))


@pytest.mark.parametrize(
    ("where", "has_store"),
    [
        ("submit", False),
        ("defer", True),
        ("poll", False),
        pytest.param("submit", True, marks=pytest.mark.thorough),
        pytest.param("poll", True, marks=pytest.mark.thorough),
    ],
)
def test_a_worker_that_dies_leaves_one_job(world: World, where: str, *, has_store: bool) -> None:
    """Between submit and store, before it defers, and while it polls: the next attempt waits for the job that runs."""
    world.say("wait")
    _die(world, where, has_store=has_store)
    assert world.states() == ["running"]
    threading.Timer(0.3, world.say, ["complete"]).start()
    context = world.context(max_tries=2, try_number=2, store=world.store() if has_store else None)
    assert world.operator().execute(context)["rows"] == 7
    assert world.states() == ["succeeded"]


def test_a_triggerer_that_dies_leaves_the_job_to_another(world: World) -> None:
    """What is serialised is all the other one needs; the task ends with the job's counts."""
    world.say("wait")
    context = world.context()
    _, arguments = _defer(world, context).serialize()
    (world.folder / "trigger.json").write_text(json.dumps(arguments))
    _die(world, "trigger", has_store=False)
    assert world.states() == ["running"]
    threading.Timer(0.3, world.say, ["complete"]).start()
    event = _fire(SparkJobTrigger(**json.loads((world.folder / "trigger.json").read_text())))
    assert world.operator().execute_complete(context, event)["rows"] == 7
    assert world.states() == ["succeeded"]


def test_mapped_tasks_have_a_job_each(world: World) -> None:
    """Two indexes of one task never share a job, nor does a kill of one reach the other's."""
    world.say("wait")
    triggers = [_defer(world, world.context(map_index=index)) for index in range(2)]
    assert triggers[0].handle["job_id"] != triggers[1].handle["job_id"]
    asyncio.run(triggers[0].on_kill())
    assert sorted(world.states()) == ["cancelled", "running"]


@pytest.mark.parametrize("has_store", [False, True])
def test_clearing_stops_what_still_runs_and_starts_afresh(world: World, *, has_store: bool) -> None:
    """A job that a cleared task left running would write beside the new one."""
    world.say("wait")
    store = world.store() if has_store else None
    _defer(world, world.context(store=store))
    _defer(world, world.context(max_tries=1, try_number=2, store=store))
    assert world.states() == ["cancelled", "running"]


def test_clearing_stops_the_job_that_followed_one_that_failed(world: World) -> None:
    """Before the clear one attempt's job failed, and the next one's still ran when its worker died."""
    world.say("JobFailedError")
    with pytest.raises(AirflowException):
        world.operator(retries=1).execute(world.context(max_tries=1))
    world.say("wait")
    _defer(world, world.context(max_tries=1, try_number=2), retries=1)
    assert world.states() == ["failed", "running"]
    _defer(world, world.context(max_tries=3, try_number=3), retries=1)
    assert world.states() == ["failed", "cancelled", "running"]


@dataclass(frozen=True)
class Silent(LocalRunner):
    """A service that takes a job and then knows nothing of it."""

    def status(self, handle: JobHandle) -> JobStatus:
        """Look once, and find nothing from then on."""
        looks = Path(handle.location) / "looks"
        if looks.exists():
            raise JobLostError("not any more")
        looks.touch()
        return super().status(handle)


def test_a_worker_that_gives_up_on_its_last_attempt_stops_the_job(world: World) -> None:
    """Nobody would come back for it; before the last attempt it is left for the next one to find."""
    runner = Silent(**world.runner.options())
    for max_tries, state in ((1, "running"), (0, "cancelled")):
        world.say("wait")
        with pytest.raises(JobLostError, match="not any more"):
            world.operator(runner=runner).execute(world.context(max_tries=max_tries, started=str(max_tries)))
        assert world.states()[-1] == state


def test_clearing_may_take_a_job_that_succeeded(world: World) -> None:
    """``on_clear="reuse"``: the result is taken again, and nothing runs."""
    first = world.operator(on_clear="reuse").execute(world.context())
    again = world.operator(on_clear="reuse").execute(world.context(max_tries=1, try_number=2))
    assert again["job_id"] == first["job_id"]
    assert len(world.jobs()) == 1


@dataclass(frozen=True)
class KillsOnSubmit(LocalRunner):
    """Somebody kills the task while the service starts the job, before it has said so."""

    def submit(self, job: str, arguments: Mapping[str, Any], token: str) -> JobHandle:
        """Start the job and be interrupted."""
        handle = super().submit(job, arguments, token)
        OPERATORS[-1].on_kill()
        return handle


@dataclass(frozen=True)
class TimesOutOnSubmit(LocalRunner):
    """The task's time is up while the service starts the job."""

    def submit(self, job: str, arguments: Mapping[str, Any], token: str) -> JobHandle:
        """Start the job and be interrupted."""
        super().submit(job, arguments, token)
        raise AirflowTaskTimeout


OPERATORS: list[Any] = []


def test_a_task_killed_while_its_job_starts_stops_it(world: World) -> None:
    """The signal comes before the id: the job is found by its token and stopped."""
    world.say("wait")
    OPERATORS.append(world.operator(runner=KillsOnSubmit(**world.runner.options())))
    with pytest.raises(AirflowException, match="was stopped"):
        OPERATORS[-1].execute(world.context())
    operator = world.operator(runner=TimesOutOnSubmit(**world.runner.options()))
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(world.context(started="2"))
    operator.on_kill()  # as Airflow does then
    assert world.states() == ["cancelled", "cancelled"]


def test_airflows_own_timeout_of_a_deferred_task_stops_its_job(world: World) -> None:
    """Airflow fails such a task without the trigger; the job would run on, and a retry beside it."""
    world.say("wait")
    context = world.context(max_tries=2)
    _defer(world, context)
    with pytest.raises(TaskDeferralTimeout):
        world.operator().resume_execution(FAIL, {"error": "Trigger timeout"}, context)
    assert world.states() == ["cancelled"]


def test_a_trigger_that_could_not_run_leaves_the_job_to_a_retry(world: World) -> None:
    """While an attempt is left the job goes on for it; after the last one nobody would come back."""
    world.say("wait")
    context = world.context(max_tries=1, try_number=1)
    _defer(world, context)
    with pytest.raises(TaskDeferralError):
        world.operator().resume_execution(FAIL, {"error": "Trigger failure"}, context)
    assert world.states() == ["running"]
    with pytest.raises(TaskDeferralError):
        world.operator().resume_execution(FAIL, {"error": "Trigger failure"}, world.context(max_tries=1, try_number=2))
    assert world.states() == ["cancelled"]


@pytest.mark.parametrize(("state", "left"), [("deferred", "running"), ("failed", "cancelled"), (None, "cancelled")])
def test_older_airflows_tell_a_kill_from_a_shutdown_by_the_task(
    world: World, monkeypatch: pytest.MonkeyPatch, state: str | None, left: str
) -> None:
    """Before 3.3 a trigger is cancelled either way: only a task that is deferred no more takes its job with it."""
    monkeypatch.setattr(task_state, "SAYS_SO", False)
    monkeypatch.setattr(task_state, "_state", lambda _: state)
    world.say("wait")
    trigger = _defer(world, world.context())
    trigger.task_instance = SimpleNamespace(task_id="bronze")  # type: ignore[assignment]

    async def cancel() -> None:
        running = asyncio.ensure_future(anext(aiter(trigger.run())))
        await asyncio.sleep(0.2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel())
    assert world.states() == [left]


def test_on_this_airflow_a_shutdown_leaves_the_job(world: World) -> None:
    """3.3 says itself when a task was killed; a cancelled trigger alone stops nothing."""
    world.say("wait")
    trigger = _defer(world, world.context())

    async def cancel() -> None:
        running = asyncio.ensure_future(anext(aiter(trigger.run())))
        await asyncio.sleep(0.2)
        running.cancel()

    asyncio.run(cancel())
    assert world.states() == ["running"]
    asyncio.run(trigger.on_kill())
    assert world.states() == ["cancelled"]


def test_the_time_of_a_job_counts_from_its_start(world: World) -> None:
    """An attempt that finds the job does not give it all the time again."""
    world.say("wait")
    store = world.store()
    first = _defer(world, world.context(store=store, max_tries=1), job_timeout=timedelta(seconds=30))
    time.sleep(0.1)
    again = _defer(world, world.context(store=store, max_tries=1, try_number=2), job_timeout=timedelta(seconds=30))
    assert first.deadline == again.deadline
    attempts = _defer(world, world.context(started="2"), waiter_delay=2, waiter_max_attempts=5)
    assert attempts.deadline == pytest.approx(time.time() + 10, abs=2)
    assert attempts.poll_seconds == 2


def test_execution_timeout_counts_from_the_start_of_the_task(world: World) -> None:
    """As Airflow's own does, deferred or not."""
    world.say("wait")
    context = world.context()
    context["ti"].start_date = SimpleNamespace(timestamp=lambda: 1000.0)
    with pytest.raises(JobTimeoutError):
        world.operator(execution_timeout=timedelta(seconds=5)).execute(context)
    assert world.states() == ["cancelled"]


@dataclass(frozen=True)
class Flaky(LocalRunner):
    """A service that throttles four looks of five."""

    def status(self, handle: JobHandle) -> JobStatus:
        """Look, or be refused."""
        looks = Path(handle.location) / "looks"
        looks.write_text(looks.read_text() + "x" if looks.exists() else "x")
        if len(looks.read_text()) % 5:
            raise ThrottledError("slow down")
        return super().status(handle)


@pytest.mark.parametrize("deferrable", [False, True])
def test_throttling_delays_and_does_not_fail(
    world: World, monkeypatch: pytest.MonkeyPatch, *, deferrable: bool
) -> None:
    """In both modes a service that refuses is asked again, and the job is still one."""
    monkeypatch.setattr(patience_module, "LONGEST_WAIT", 0.02)
    context = world.context()
    runner = Flaky(**world.runner.options())
    monkeypatch.setattr("airflow_lakehouse.triggers.spark_job.runner_from", lambda _, options: Flaky(**options))
    operator = world.operator(runner=runner, deferrable=deferrable)
    if not deferrable:
        assert operator.execute(context)["rows"] == 7
    else:
        world.say("wait")
        trigger = _defer(world, context, runner=runner)
        world.say("complete")
        assert operator.execute_complete(context, _fire(trigger))["rows"] == 7
    assert len(world.jobs()) == 1


def test_a_service_that_is_down_for_good_ends_the_waiting(world: World) -> None:
    """The task fails with what the service said. An attempt that is left finds the job; the last one stops it."""
    world.say("wait")
    context = world.context(max_tries=1)
    trigger = _defer(world, context)
    event = {"status": "error", "reason": "no answer", "error_type": "EngineError", "handle": trigger.handle}
    with pytest.raises(EngineError, match="no answer"):
        world.operator().execute_complete(context, event)  # type: ignore[arg-type]
    assert world.states() == ["running"]
    with pytest.raises(EngineError):
        world.operator().execute_complete(world.context(max_tries=1, try_number=2), event)  # type: ignore[arg-type]
    assert world.states() == ["cancelled"]


def test_a_task_may_not_wait_at_all(world: World) -> None:
    """``wait_for_completion=False`` returns the job; nothing is stopped."""
    world.say("wait")
    result = world.operator(wait_for_completion=False).execute(world.context())
    assert result["status"] == "running"
    assert world.runner.find(result["job_id"]) is not None
    assert world.states() == ["running"]
