"""A connection, a runner that starts real processes, and contexts as Airflow gives them; all state is in files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_lakehouse.hooks.spark import LocalRunner
from airflow_lakehouse.operators.iceberg_spark import IcebergSparkOperator

ECHO_JOB = str(Path(__file__).with_name("echo_job.py"))
TASK = "bronze"


class FileStore:
    """Airflow's task store: one JSON file a key, so that it outlives whoever wrote it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> Any:
        """Return a value, or None."""
        path = self.folder / key
        return json.loads(path.read_text()) if path.exists() else None

    def set(self, key: str, value: Any) -> None:
        """Store; only what JSON can hold."""
        (self.folder / key).write_text(json.dumps(value))

    def values(self) -> list[Any]:
        """Return all values."""
        return [json.loads(path.read_text()) for path in self.folder.iterdir()]


class Events(Mapping[Any, SimpleNamespace]):
    """Airflow's outlet events, in memory, by URI: assets of Airflow 3.0 have no hash."""

    def __init__(self) -> None:
        self._assets: dict[str, Any] = {}
        self._events: dict[str, SimpleNamespace] = {}

    def __getitem__(self, asset: Any) -> SimpleNamespace:
        partitions: list[str] = []
        made = SimpleNamespace(extra={}, partitions=partitions, add_partitions=partitions.extend)
        self._assets.setdefault(asset.uri, asset)
        return self._events.setdefault(asset.uri, made)

    def __contains__(self, asset: Any) -> bool:
        return asset.uri in self._events

    def __iter__(self) -> Iterator[Any]:
        return iter(self._assets.values())

    def __len__(self) -> int:
        return len(self._events)


class World:
    """What a task meets.

    :param folder: where everything is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = LocalRunner(root=folder / "jobs", command=(sys.executable, ECHO_JOB), grace_seconds=0.2)

    def say(self, word: str) -> None:
        """Tell the jobs what to do."""
        (self.folder / "partial").write_text(word)
        (self.folder / "partial").replace(self.folder / "control")

    def jobs(self) -> list[dict[str, Any]]:
        """Return what each job that was started was given, oldest first."""
        files = sorted((self.folder / "jobs").glob("*/arguments.json"), key=lambda path: path.stat().st_mtime_ns)
        return [json.loads(path.read_text()) for path in files]

    def states(self) -> list[str]:
        """Return the state of each job, oldest first."""
        folders = sorted((self.folder / "jobs").glob("*/job.json"), key=lambda path: path.stat().st_mtime_ns)
        handles = [self.runner.find(path.parent.name) for path in folders]
        return [self.runner.status(handle).state.value for handle in handles if handle]

    def operator(self, **arguments: Any) -> IcebergSparkOperator:
        """Return an operator on this runner."""
        defaults = {"job": "raw_to_bronze", "runner": self.runner, "deferrable": False, "poll_seconds": 0.05}
        return IcebergSparkOperator(task_id=TASK, **{**defaults, **arguments})

    def store(self) -> FileStore:
        """Return the task store."""
        return FileStore(self.folder / "store")

    @staticmethod
    def context(
        *, max_tries: int = 0, try_number: int = 1, store: Any = None, started: str = "1", map_index: int = -1
    ) -> Any:
        """Return a context of one attempt; what the task pushes to XCom is in ``ti.pushed``."""
        pushed: dict[str, Any] = {}

        def push(key: str, value: Any) -> None:
            pushed[key] = json.loads(json.dumps(value))

        ti = SimpleNamespace(
            dag_id="dag",
            run_id="run",
            task_id=TASK,
            map_index=map_index,
            max_tries=max_tries,
            try_number=try_number,
            xcom_push=push,
            pushed=pushed,
        )
        context = {"ti": ti, "dag_run": SimpleNamespace(start_date=started), "outlet_events": Events()}
        return context if store is None else {**context, "task_state_store": store}
