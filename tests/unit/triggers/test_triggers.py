"""Every trigger of the package: found by walking it, so that a new one cannot be forgotten."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import pkgutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_lakehouse import triggers
from airflow_lakehouse._compat import BaseTrigger
from airflow_lakehouse.hooks.spark import JobHandle, LocalRunner
from airflow_lakehouse.triggers.base import FindingTrigger
from airflow_lakehouse.triggers.partition import IcebergPartitionTrigger
from airflow_lakehouse.triggers.raw_drop import RawDropTrigger
from airflow_lakehouse.triggers.spark_job import JobEvent, SparkJobTrigger

TINY_JOB = str(Path(__file__).parent.parent / "hooks" / "tiny_job.py")

HANDLE = JobHandle("local", "ab" * 8, "work", "/nowhere", "").as_dict()
EXAMPLES: dict[type[BaseTrigger], dict[str, Any]] = {
    IcebergPartitionTrigger: {
        "table": "bronze_fhir_patient",
        "partition": {"dt": "2026-01-15"},
        "min_rows": 3,
        "lakehouse_conn_id": "elsewhere",
        "poll_seconds": 1.5,
        "deadline": 17.0,
    },
    RawDropTrigger: {
        "raw": "/drop",
        "dt": "2026-01-15",
        "min_files": 2,
        "settle_seconds": 5.0,
        "aws_conn_id": "aws",
        "poll_seconds": 1.5,
        "deadline": 17.0,
    },
    SparkJobTrigger: {
        "handle": HANDLE,
        "options": {"grace_seconds": 2.0},
        "poll_seconds": 1.5,
        "deadline": 17.0,
        "position": 4711,
    },
}


def _all_triggers() -> list[type[BaseTrigger]]:
    found = set()
    for module in pkgutil.walk_packages(triggers.__path__, f"{triggers.__name__}."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, BaseTrigger) and kind.__module__.startswith(triggers.__name__):
                found.add(kind)
    return sorted((kind for kind in found if not inspect.isabstract(kind)), key=lambda kind: kind.__name__)


def fire(trigger: BaseTrigger) -> dict[str, Any]:
    """Return the payload of a trigger's one event."""

    async def first() -> dict[str, Any]:
        events = [event async for event in trigger.run()]
        assert len(events) == 1
        return dict(events[0].payload)

    return asyncio.run(first())


@pytest.mark.parametrize("kind", _all_triggers())
def test_every_trigger_survives_serialisation(kind: type[BaseTrigger]) -> None:
    """What a trigger serialises is JSON, covers every argument, and builds the same trigger again."""
    path, arguments = kind(**EXAMPLES[kind]).serialize()
    assert json.loads(json.dumps(arguments)) == arguments == EXAMPLES[kind]
    module, _, name = path.rpartition(".")
    rebuilt = getattr(importlib.import_module(module), name)(**arguments)
    assert rebuilt.serialize() == (path, arguments)


def test_a_job_trigger_reports_the_end(tmp_path: Path) -> None:
    """A job that ends while it is waited for gives its state."""
    runner = LocalRunner(root=tmp_path, command=(sys.executable, TINY_JOB))
    handle = runner.submit("work", {"starts": str(tmp_path / "starts")}, "ab" * 8)
    event = fire(SparkJobTrigger(handle.as_dict(), runner.options(), poll_seconds=0.05))
    said = {"status": "succeeded", "reason": "", "error_type": "", "service_state": "", "attempt": 1}
    assert event == {**said, "handle": handle.as_dict(), "position": event["position"]}
    assert set(event) == set(JobEvent.__annotations__)
    assert event["position"] > 0


def test_a_job_trigger_gives_up_at_its_deadline_and_can_be_killed(tmp_path: Path) -> None:
    """A job that takes too long gives a timeout; killing the trigger stops the job."""
    runner = LocalRunner(root=tmp_path, command=(sys.executable, TINY_JOB), grace_seconds=0.2)
    arguments = {"starts": str(tmp_path / "starts"), "until": str(tmp_path / "never")}
    handle = runner.submit("work", arguments, "ab" * 8)
    trigger = SparkJobTrigger(handle.as_dict(), poll_seconds=0.05, deadline=time.time() - 1)
    assert fire(trigger)["status"] == "timeout"
    asyncio.run(trigger.on_kill())
    assert runner.status(handle).state.value == "cancelled"


def test_a_job_that_cannot_be_found_is_an_event() -> None:
    """An exception in the trigger reaches the task with its text, not as a bare trigger failure."""
    event = fire(SparkJobTrigger(HANDLE))
    assert (event["status"], event["error_type"]) == ("error", "JobLostError")
    assert "is gone" in event["reason"]


class _Breaking(FindingTrigger):
    def look(self) -> tuple[bool, dict[str, Any]]:
        raise ConnectionError("the catalog hung up")

    def arguments(self) -> dict[str, Any]:
        return {}


def test_looking_that_fails_is_an_event() -> None:
    """Any exception while looking becomes an event with its class and text."""
    event = fire(_Breaking())
    assert event == {"status": "error", "found": {}, "reason": "the catalog hung up", "error_type": "ConnectionError"}


def test_a_drop_is_waited_for(tmp_path: Path) -> None:
    """A file that arrives after the first look is found by a later one."""

    async def arrive() -> dict[str, Any]:
        trigger = RawDropTrigger(str(tmp_path / "raw"), poll_seconds=0.05, deadline=time.time() + 10)
        waiting = asyncio.ensure_future(anext(aiter(trigger.run())))
        await asyncio.sleep(0.1)
        folder = tmp_path / "raw" / "fhir" / "dt=2026-01-15"
        folder.mkdir(parents=True)
        (folder / "Patient.ndjson").write_text("{}\n")
        return dict((await waiting).payload)

    event = asyncio.run(arrive())
    assert event["status"] == "found"
    assert event["found"]["dt"] == ["2026-01-15"]


def test_a_drop_that_stays_empty_gives_what_was_seen(tmp_path: Path) -> None:
    """At the deadline the event still says what was found."""
    event = fire(RawDropTrigger(str(tmp_path), poll_seconds=0.01, deadline=time.time() + 0.05))
    assert event["status"] == "timeout"
    assert event["found"]["files"] == 0
