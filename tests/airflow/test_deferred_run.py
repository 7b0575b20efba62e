"""One DAG run in a whole Airflow: both tasks defer, a worker is killed with its job running, and the job ran once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.airflow.real_airflow import real_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.thorough, pytest.mark.airflow]

_DAG = '''
import os, signal, sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow_lakehouse._compat import DAG
from airflow_lakehouse.hooks.spark import LocalRunner
from airflow_lakehouse.operators.iceberg_spark import IcebergSparkOperator
from airflow_lakehouse.sensors.raw_drop import RawPartitionSensor

PLACE = Path(os.environ["HELD_JOB"])
RUNNER = LocalRunner(root=PLACE / "jobs", command=(sys.executable, "HELD_JOB_FILE"))


try:
    from airflow.sdk.execution_time.supervisor import ActivitySubprocess
except ImportError:  # Airflow 2.11
    RETRIES_A_KILLED_PROCESS = True
else:
    # Airflow 3.0 retries where the whole worker is gone, and fails a task for good whose process alone was killed.
    RETRIES_A_KILLED_PROCESS = hasattr(ActivitySubprocess, "_should_retry")


class DyingOperator(IcebergSparkOperator):
    """Its first worker dies with the job running, at the last moment before it would defer."""

    def defer(self, **arguments):
        died = PLACE / "died"
        if not died.exists():
            died.touch()
            if not RETRIES_A_KILLED_PROCESS:
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        super().defer(**arguments)


with DAG("deferred", schedule="@once", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False):
    arrive = RawPartitionSensor(
        task_id="arrive", dt="2026-01-15", raw=str(PLACE / "raw"), marker="_SUCCESS", deferrable=True, poke_interval=1,
        # Airflow fails a task whose worker its own server did not answer in time, on a machine that is busy.
        retries=3, retry_delay=timedelta(seconds=1),
    )
    load = DyingOperator(
        task_id="load", job="raw_to_bronze", runner=RUNNER, deferrable=True, poll_seconds=1.0,
        retries=3, retry_delay=timedelta(seconds=1),
    )
    arrive >> load
'''


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return an Airflow home with the DAG."""
    (tmp_path / "dags").mkdir()
    held_job = Path(__file__).with_name("held_job.py")
    (tmp_path / "dags" / "deferred.py").write_text(_DAG.replace("HELD_JOB_FILE", str(held_job)))
    yield tmp_path
    # A job outlives its worker on purpose; not the test.
    (tmp_path / "go").touch()


def test_whatever_is_killed_costs_nothing(place: Path) -> None:
    """The worker dies as the job runs, then triggerer and scheduler die while it is waited for: one job, one result.

    The sensor waits in the triggerer; the second attempt finds the job of the first, and the second triggerer takes the
    trigger of the first.
    """
    connection = f'{{"conn_type": "lakehouse", "extra": {{"warehouse": "{place}/wh"}}}}'
    with real_airflow(place, HELD_JOB=str(place), AIRFLOW_CONN_LAKEHOUSE=connection) as airflow:
        airflow.wait_for_task("arrive", "deferred")
        day = place / "raw" / "fhir" / "dt=2026-01-15"
        day.mkdir(parents=True)
        (day / "Patient.ndjson").write_text("{}\n")
        (day / "_SUCCESS").touch()
        airflow.wait_for_task("load", "deferred")
        assert (place / "died").exists()
        for component in ("triggerer", "scheduler"):
            airflow.kill(component)
        (place / "go").touch()
        for component in ("triggerer", "scheduler"):
            airflow.start(component)
        airflow.wait_for_run("deferred", "success")
        ((tries,),) = airflow.rows("select try_number from task_instance where task_id = 'load'")
        assert tries >= 2
        ((value,),) = airflow.rows("select value from xcom where task_id = 'load' and key = 'return_value'")
        assert b'"status": "complete"' in (value if isinstance(value, bytes) else value.encode())
        listed = airflow.run("providers", "list", "--output", "plain")
        assert "airflow-lakehouse" in listed
    assert len((place / "starts").read_text().splitlines()) == 1
