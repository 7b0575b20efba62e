"""The pipeline on a real cluster of two workers, through spark-submit and through Spark Connect."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.sample import write_sample
from airflow_lakehouse.hooks.spark import JobState, SparkConnectRunner, SparkSubmitRunner
from airflow_lakehouse.operators import shipped_code
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from tests.cluster.conftest import CONF, TOKEN, cluster_in, connect_server, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.hooks.spark import JobHandle, SparkRunner
    from tests.cluster.conftest import Cluster

pytestmark = pytest.mark.spark


def _given(folder: Path, run_id: str = "run") -> dict[str, Any]:
    profile = Profile(str(folder / "warehouse"), raw=str(folder / "raw"))
    return {"profile": profile.as_dict(), "run_id": run_id}


def _ended(runner: SparkRunner, handle: JobHandle) -> dict[str, Any]:
    wait_for(lambda: not runner.status(handle).is_active, 500, lambda: str(runner.follow_logs(handle, 0)[0][-5:]))
    status = runner.status(handle)
    assert status.state is JobState.SUCCEEDED, status.reason
    return runner.result(handle)


def _submit(folder: Path, cluster: Cluster) -> SparkSubmitRunner:
    return SparkSubmitRunner(cluster.master, conf=CONF, root=folder / "jobs")


def slow_square(spark: Any, rows: int, parts: int, seconds: float, marks: str) -> dict[str, int]:
    """Count rows in parts that take a while and leave a mark each time they are begun."""

    def work(batches: Any) -> Any:
        import time
        import uuid
        from pathlib import Path

        Path(marks, uuid.uuid4().hex).touch()
        time.sleep(seconds)
        yield from batches

    counted = spark.range(0, rows, 1, parts).mapInArrow(work, "id long")
    counted.writeTo("gold.squares").createOrReplace()
    return {"rows": spark.table("gold.squares").count()}


def test_a_job_runs_on_the_workers(cluster: Cluster, tmp_path: Path) -> None:
    """Through spark-submit: the driver here, the rows on the cluster, the table in the lakehouse."""
    runner = _submit(tmp_path, cluster)
    given = {"rows": 4, "parts": 2, "seconds": 0.1, "marks": str(tmp_path)}
    code = shipped_code.with_arguments(shipped_code.ship(slow_square), [], given)
    result = _ended(runner, runner.submit("user_code", {**_given(tmp_path), "code": code}, "01" * 16))
    assert result["values"] == {"rows": 4}
    assert any(cluster.executors(worker) for worker in ("worker1", "worker2"))


@pytest.mark.thorough
def test_bronze_through_spark_submit_and_silver_through_connect(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both engines work on one lakehouse, the rows on its workers; afterwards no token is in any file."""
    write_sample(tmp_path / "raw", patients=6, documents=0, days=1)
    runner: SparkRunner = _submit(tmp_path, cluster)
    bronze = _ended(runner, runner.submit("raw_to_bronze", _given(tmp_path), "ab" * 16))
    assert bronze["status"] == "complete"
    assert bronze["tables"]["bronze_fhir_patient"]["rows"] == 6
    assert any(cluster.executors(worker) for worker in ("worker1", "worker2"))
    with connect_server(cluster) as url:
        port = int(url.rpartition(":")[2])
        connection = {"conn_type": "generic", "host": "localhost", "port": port, "password": TOKEN}
        monkeypatch.setenv("AIRFLOW_CONN_CONNECT", json.dumps(connection))
        runner = SparkConnectRunner(conn_id="connect", root=tmp_path / "jobs")
        handle = runner.submit("bronze_to_silver", _given(tmp_path), "cd" * 16)
        silver = _ended(runner, handle)
        assert silver["tables"]["silver_dim_patient"]["rows"] == 6
        wait_for(lambda: not runner.status(handle).is_active)
    texts = {path: path.read_text(errors="replace") for path in (tmp_path / "jobs").rglob("*.json")}
    assert [path.name for path, text in texts.items() if TOKEN in text] == []
    assert TOKEN not in json.dumps([handle.as_dict(), runner.options()])
    cluster.processes.pop("connect").terminate()


@pytest.mark.thorough
def test_a_worker_that_dies_in_the_middle_costs_time_and_no_row(tmp_path: Path) -> None:
    """SIGKILL reaches a worker and its executor while both have work: the other one does it again, once."""
    marks = tmp_path / "marks"
    marks.mkdir()
    (tmp_path / "cluster").mkdir()
    with cluster_in(tmp_path / "cluster") as cluster:
        runner = _submit(tmp_path, cluster)
        code = shipped_code.with_arguments(
            shipped_code.ship(slow_square), [], {"rows": 40, "parts": 8, "seconds": 3.0, "marks": str(marks)}
        )
        handle = runner.submit("user_code", {**_given(tmp_path), "code": code, "tables": ["gold.squares"]}, "ef" * 16)
        wait_for(lambda: all(cluster.executors(worker) for worker in ("worker1", "worker2")))
        wait_for(lambda: len(list(marks.iterdir())) >= 3)
        cluster.kill_worker("worker1")
        began = time.monotonic()
        result = _ended(runner, handle)
        assert result["values"] == {"rows": 40}
        assert len(list(marks.iterdir())) > 8, "nothing was done again: the worker died too late to matter"
        assert time.monotonic() - began > 3
        table = load_pyiceberg(Profile.from_dict(_given(tmp_path)["profile"])).load_table("gold.squares")
        assert len(table.history()) == 1
        assert result["snapshots"]["gold.squares"]["after"] == table.history()[0].snapshot_id
