"""Every trigger of the package: found by walking it, so that a new one cannot be forgotten."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import pkgutil
import re
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from airflow_lakehouse import triggers
from airflow_lakehouse._compat import BaseTrigger
from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.looking import Finding, Look
from airflow_lakehouse.hooks.spark import JobHandle, LocalRunner
from airflow_lakehouse.triggers.base import FindingTrigger, WatchingTrigger
from airflow_lakehouse.triggers.raw_drop import RawDropTrigger
from airflow_lakehouse.triggers.spark_job import JobEvent, SparkJobTrigger
from airflow_lakehouse.triggers.textract import TextractTrigger

TINY_JOB = str(Path(__file__).parent.parent / "hooks" / "tiny_job.py")

HANDLE = JobHandle("local", "ab" * 8, "work", "/nowhere", "").as_dict()
EXAMPLES: dict[type[BaseTrigger], dict[str, Any]] = {
    SparkJobTrigger: {
        "handle": HANDLE,
        "options": {"grace_seconds": 2.0},
        "poll_seconds": 1.5,
        "deadline": 17.0,
        "position": 4711,
    },
    TextractTrigger: {
        "textract_dir": "/nowhere",
        "batch_id": "ab" * 16,
        "aws": {"region_name": "us-east-1"},
        "deadline": 17.0,
    },
}
"""Arguments of the triggers that look for nothing; those of the others are the fields of what they look for."""

VALUES: dict[str, Any] = {"str": "given", "int": 3, "float": 2.5, "dict": {"dt": "2026-01-15"}, "list": ["fhir"]}


def _example(kind: type[BaseTrigger]) -> dict[str, Any]:
    """Return a value for every argument, none of them its default."""
    if not issubclass(kind, FindingTrigger | WatchingTrigger):
        return EXAMPLES[kind]
    given: dict[str, Any] = {"poll_seconds": 1.5}
    for field in fields(kind.look_class):
        given[field.name] = VALUES[re.split(r"\W", str(field.type))[0]]
        assert given[field.name] != field.default
    if issubclass(kind, FindingTrigger):
        given |= {"deadline": 17.0, "cursor": {"after_ms": 1, "taken": {}}}
    return given


def _all_triggers() -> list[type[BaseTrigger]]:
    found = set()
    for module in pkgutil.walk_packages(triggers.__path__, f"{triggers.__name__}."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, BaseTrigger) and kind.__module__.startswith(triggers.__name__):
                found.add(kind)
    return sorted(found - {FindingTrigger, WatchingTrigger}, key=lambda kind: kind.__name__)


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
    example = _example(kind)
    path, arguments = kind(**example).serialize()
    assert json.loads(json.dumps(arguments)) == arguments == example
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


BREAKS: Exception = ConnectionError()


class _Breaking(Look):
    def look(self, cursor: dict[str, Any] | None = None) -> Finding:  # noqa: ARG002 - it breaks before
        raise BREAKS


class _BreakingTrigger(FindingTrigger):
    look_class = _Breaking


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConfigurationError("there is no connection 'x'"), "there is no connection 'x'."),
        (PermissionError(13, "Permission denied", "/warehouse"), "Permission denied: /warehouse"),
        (ValueError("Invalid header value b'Bearer s3cret'"), "ValueError"),
        (OSError("Header value must not end with a newline: 'Bearer s3cret'"), "OSError"),
    ],
)
def test_looking_that_fails_is_an_event(error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any exception while looking becomes an event with its class; with its text where that is no stranger's."""
    monkeypatch.setitem(globals(), "BREAKS", error)
    event = fire(_BreakingTrigger())
    assert (event["status"], event["found"], event["cursor"], event["receipts"]) == ("error", {}, None, [])
    assert (event["reason"], event["error_type"]) == (reason, type(error).__name__)


def test_a_drop_is_waited_for(tmp_path: Path) -> None:
    """A file that arrives after the first look is found by a later one."""

    async def arrive() -> dict[str, Any]:
        trigger = RawDropTrigger(raw=str(tmp_path / "raw"), poll_seconds=0.05, deadline=time.time() + 10)
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
    event = fire(RawDropTrigger(raw=str(tmp_path), poll_seconds=0.01, deadline=time.time() + 0.05))
    assert event["status"] == "timeout"
    assert event["found"]["files"] == 0
