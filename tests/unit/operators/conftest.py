"""What tests of the Spark operator share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.operators.lakehouse_world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a lakehouse and a runner; jobs it started are stopped at the end."""
    extra = {"warehouse": str(tmp_path / "wh"), "raw": str(tmp_path / "raw")}
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE", json.dumps({"conn_type": "lakehouse", "extra": extra}))
    monkeypatch.setenv("ECHO_CONTROL", str(tmp_path / "control"))
    world = World(tmp_path)
    world.say("complete")
    yield world
    world.say("complete")
    for record in (tmp_path / "jobs").glob("*/job.json"):
        handle = world.runner.find(record.parent.name)
        if handle:
            world.runner.cancel(handle)
