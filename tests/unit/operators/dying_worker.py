"""A worker or triggerer that is killed with SIGKILL where it is told to: ``dying_worker.py FOLDER WHERE HAS_STORE``."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from airflow_lakehouse.hooks.spark import JobHandle, JobStatus, LocalRunner
from airflow_lakehouse.operators.iceberg_spark import IcebergSparkOperator
from airflow_lakehouse.triggers.spark_job import SparkJobTrigger
from tests.unit.operators.lakehouse_world import World

if TYPE_CHECKING:
    from collections.abc import Mapping


def die(*_: Any, **__: Any) -> None:
    """End this process as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class DiesAfterSubmit(LocalRunner):
    """The job is started, and nobody has noted it."""

    def submit(self, job: str, arguments: Mapping[str, Any], token: str) -> JobHandle:
        """Start the job, and die."""
        handle = super().submit(job, arguments, token)
        die()
        return handle


@dataclass(frozen=True)
class DiesPolling(LocalRunner):
    """The job is looked at, and then again."""

    def status(self, handle: JobHandle) -> JobStatus:
        """Look, and die the third time."""
        looks = Path(handle.location) / "looks"
        looks.write_text(looks.read_text() + "x" if looks.exists() else "x")
        if len(looks.read_text()) > 2:
            die()
        return super().status(handle)


async def _wait(trigger: SparkJobTrigger) -> None:
    async for _ in trigger.run():
        return


def main(folder: Path, where: str, has_store: str) -> None:
    """Run the task, or its trigger, and die on the way."""
    world = World(folder)
    context = world.context(max_tries=2, store=world.store() if has_store == "1" else None)
    if where == "trigger":
        serialized = json.loads((folder / "trigger.json").read_text())
        with mock.patch.object(asyncio, "sleep", die):
            asyncio.run(_wait(SparkJobTrigger(**serialized)))
    runners = {"submit": DiesAfterSubmit, "poll": DiesPolling}
    runner = runners.get(where, LocalRunner)(**world.runner.options())
    with mock.patch.object(IcebergSparkOperator, "defer", die):
        world.operator(runner=runner, deferrable=where == "defer").execute(context)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
