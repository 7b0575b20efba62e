"""The sensors on the worker, over real folders and a real catalog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse._compat import AirflowException, AirflowFailException, AirflowSensorTimeout, TaskDeferred
from airflow_lakehouse.sensors.partition import IcebergPartitionSensor
from airflow_lakehouse.sensors.raw_drop import RawDropSensor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def lakehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set a connection whose drop is ``raw``; return its folder."""
    extra = {"warehouse": str(tmp_path / "wh"), "raw": str(tmp_path / "raw")}
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE", json.dumps({"conn_type": "lakehouse", "extra": extra}))
    return tmp_path


def _drop(folder: Path) -> None:
    day = folder / "raw" / "fhir" / "dt=2026-01-15"
    day.mkdir(parents=True)
    (day / "Patient.ndjson").write_text("{}\n")


def _drop_sensor(**arguments: Any) -> RawDropSensor:
    return RawDropSensor(task_id="detect", **{"poke_interval": 0.05, "timeout": 0.2, "deferrable": False, **arguments})


def _partition_sensor(**arguments: Any) -> IcebergPartitionSensor:
    defaults = {"table": "bronze_fhir_patient", "partition": {"dt": "2026-01-15"}, "deferrable": False}
    return IcebergPartitionSensor(task_id="wait", **{**defaults, "timeout": 0.1, "poke_interval": 0.05, **arguments})


def test_a_drop_is_found_and_returned(lakehouse: Path) -> None:
    """The connection's drop is looked at by default, and what is there comes back."""
    _drop(lakehouse)
    found = _drop_sensor().execute({})
    assert (found["files"], found["dt"], found["raw"]) == (1, ["2026-01-15"], str(lakehouse / "raw"))


@pytest.mark.parametrize("dt", ["", "None"])
def test_a_day_that_renders_to_nothing_is_no_day(lakehouse: Path, dt: str) -> None:
    """A template that finds no value asks for every day, not for one called None."""
    _drop(lakehouse)
    assert _drop_sensor(dt=dt).execute({})["files"] == 1


def test_an_empty_drop_times_out(lakehouse: Path) -> None:
    """On the worker, an empty drop ends in Airflow's own sensor timeout."""
    with pytest.raises(AirflowSensorTimeout):
        _drop_sensor(raw=str(lakehouse / "empty")).execute({})


def test_what_is_there_is_not_deferred(lakehouse: Path) -> None:
    """A deferrable sensor looks once first."""
    _drop(lakehouse)
    assert _drop_sensor(deferrable=True).execute({})["files"] == 1


def test_a_deferred_sensor_says_what_it_found_last(lakehouse: Path) -> None:
    """In the triggerer a timeout still tells what was there; a find comes back as the result."""
    sensor = _drop_sensor(deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    assert deferred.value.trigger.looking_for.raw == str(lakehouse / "raw")
    event = {"status": "timeout", "found": {"files": 0}, "reason": "", "error_type": ""}
    with pytest.raises(AirflowSensorTimeout, match="'files': 0"):
        sensor.execute_complete({}, event)
    assert sensor.execute_complete({}, {**event, "status": "found", "found": {"files": 2}}) == {"files": 2}


@pytest.mark.parametrize(
    ("error_type", "raised"), [("ConfigurationError", AirflowFailException), ("ConnectionError", AirflowException)]
)
def test_errors_in_the_triggerer_keep_their_reason(error_type: str, raised: type[Exception]) -> None:
    """The reason arrives; what a retry cannot mend is not retried."""
    event = {"status": "error", "found": {}, "reason": "hung up", "error_type": error_type}
    with pytest.raises(raised, match="hung up") as caught:
        _drop_sensor().execute_complete({}, event)
    assert type(caught.value) is raised


def test_a_lakehouse_without_a_drop_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that names no drop fails at once, instead of waiting for a week."""
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE", json.dumps({"conn_type": "lakehouse", "extra": {"warehouse": "/wh"}}))
    with pytest.raises(AirflowFailException, match="names a raw drop"):
        _drop_sensor().execute({})


def test_a_partition_of_a_missing_table_is_waited_for() -> None:
    """No table yet is not ready: the sensor times out, it does not break."""
    with pytest.raises(AirflowSensorTimeout):
        _partition_sensor().execute({})
    with pytest.raises(TaskDeferred) as deferred:
        _partition_sensor(deferrable=True).execute({})
    assert deferred.value.trigger.looking_for.look().found["snapshot_id"] is None


def test_a_column_that_is_no_partition_fails_at_once() -> None:
    """Waiting for it would never end; the message says what is legal."""
    with pytest.raises(AirflowFailException, match="Legal: dt"):
        _partition_sensor(partition={"resource_id": "a"}).execute({})
