"""The sensors over real tables: on the worker and through the triggerer, in every kind of catalog."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse._compat import AirflowFailException, AirflowSensorTimeout
from airflow_lakehouse.hooks.snapshots import LISTED_SNAPSHOTS, changes_rows, history
from airflow_lakehouse.sensors.partition import IcebergPartitionSensor
from airflow_lakehouse.sensors.table import IcebergFreshnessSensor, IcebergRowCountSensor, IcebergSnapshotSensor
from tests.airflow.conftest import CONN_ID, Place, rows
from tests.airflow.sensing import HASTE, MODES, POKE, wait

if TYPE_CHECKING:
    from pyiceberg.table import Table

pytestmark = pytest.mark.parametrize("mode", MODES)
EVERY = (IcebergSnapshotSensor, IcebergFreshnessSensor, IcebergRowCountSensor)


def _sensor(kind: Any, place: Place, **arguments: Any) -> Any:
    return kind(table=place.name("events"), lakehouse_conn_id=CONN_ID, **{**HASTE, **arguments})


def _commit_nothing(table: Table) -> None:
    """Commit an empty snapshot, as a job does to carry a watermark."""
    before = len(table.refresh().snapshots())
    table.append(rows(), snapshot_properties={"lakehouse.watermark": "17"})
    assert len(table.refresh().snapshots()) == before + 1


def _compact(table: Table) -> int:
    """Commit what Spark's ``rewrite_data_files`` does, and PyIceberg cannot: the same rows, by ``replace``."""
    from pyiceberg.table.snapshots import Operation, Summary
    from pyiceberg.table.update import AddSnapshotUpdate, SetSnapshotRefUpdate

    head = table.refresh().current_snapshot()
    assert head is not None
    assert head.summary is not None
    totals = {name: value for name, value in head.summary.additional_properties.items() if name.startswith("total-")}
    rewritten = {f"{what}-{of}": "1" for what in ("added", "deleted") for of in ("data-files", "records")}
    replaced = head.model_copy(
        update={
            "snapshot_id": head.snapshot_id + 1,
            "parent_snapshot_id": head.snapshot_id,
            "sequence_number": (head.sequence_number or 0) + 1,
            "timestamp_ms": max(head.timestamp_ms + 1, time.time_ns() // 1_000_000),
            "summary": Summary(Operation.REPLACE, **totals, **rewritten),
        }
    )
    moved = SetSnapshotRefUpdate.model_validate(
        {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": replaced.snapshot_id}
    )
    with table.transaction() as transaction:
        transaction._apply((AddSnapshotUpdate(snapshot=replaced), moved), ())
    return replaced.snapshot_id


def test_every_catalog_is_reached(mode: str, place: Place) -> None:
    """One table, four kinds of connection: each sensor finds the same in all of them."""
    table = place.table()
    table.append(rows(1, 2))
    head = table.refresh().current_snapshot()
    assert head is not None
    found = wait(_sensor(IcebergSnapshotSensor, place), mode)
    assert found["snapshot_ids"] == [head.snapshot_id] == [found["snapshot_id"]]
    assert (found["table"], found["operation"], found["rows_added"]) == (place.name("events"), "append", 2)
    assert wait(_sensor(IcebergRowCountSensor, place, min_rows=2), mode)["rows"] == 2
    assert wait(_sensor(IcebergFreshnessSensor, place), mode)["age_seconds"] < 60
    partition = _sensor(IcebergPartitionSensor, place, partition={"day": "2026-01-15"})
    assert wait(partition, mode)["rows"] == 2


@pytest.mark.parametrize("kind", EVERY)
def test_no_table_and_an_empty_one_are_waited_for(mode: str, kind: Any, any_place: Place) -> None:
    """Neither is an error: somebody is yet to make or fill it. The timeout says what was found."""
    with pytest.raises(AirflowSensorTimeout) as caught:
        wait(_sensor(kind, any_place), mode)
    assert mode == POKE or "'snapshot_id': None" in str(caught.value)
    any_place.table()
    with pytest.raises(AirflowSensorTimeout):
        wait(_sensor(kind, any_place), mode)


def test_compaction_and_empty_commits_are_no_news(mode: str, any_place: Place) -> None:
    """Neither is a commit of data, makes old data fresh, or changes the number of rows; the next append is news."""
    table = any_place.table()
    table.append(rows(1, 2))
    first = table.refresh().current_snapshot()
    assert first is not None
    _commit_nothing(table)
    assert _compact(table) == next(history(table.refresh())).snapshot_id
    sensor = _sensor(IcebergSnapshotSensor, any_place)
    assert wait(sensor, mode)["snapshot_ids"] == [first.snapshot_id]
    with pytest.raises(AirflowSensorTimeout):
        wait(_sensor(IcebergSnapshotSensor, any_place, after_snapshot_id=str(first.snapshot_id)), mode)
    assert wait(_sensor(IcebergFreshnessSensor, any_place), mode)["snapshot_id"] == first.snapshot_id
    assert wait(_sensor(IcebergRowCountSensor, any_place, min_rows=2, max_rows="2"), mode)["rows"] == 2
    table.append(rows(3))
    found = wait(_sensor(IcebergSnapshotSensor, any_place, after_snapshot_id=first.snapshot_id), mode)
    assert (found["snapshots"], found["rows_added"]) == (1, 1)


def test_every_commit_in_between_is_told(mode: str, any_place: Place) -> None:
    """What a task wants to load is all that came since, and not the newest alone."""
    table = any_place.table()
    for number in range(3):
        table.append(rows(number))
    first, *later = [one.snapshot_id for one in reversed(list(history(table.refresh())))]
    found = wait(_sensor(IcebergSnapshotSensor, any_place, after_snapshot_id=first), mode)
    assert found["snapshot_ids"] == later
    assert found["rows_added"] == 2
    assert len(found["snapshot_ids"]) < LISTED_SNAPSHOTS


def test_commits_before_a_moment_do_not_count(mode: str, any_place: Place) -> None:
    """A daily run waits for what was committed in its interval, not for what was there already."""
    table = any_place.table()
    table.append(rows(1))
    with pytest.raises(AirflowSensorTimeout):
        wait(_sensor(IcebergSnapshotSensor, any_place, since=str(time.time() + 60)), mode)
    assert wait(_sensor(IcebergSnapshotSensor, any_place, since="2026-01-01T00:00:00"), mode)["snapshots"] == 1
    wrong = _sensor(IcebergSnapshotSensor, any_place, since="yesterday")
    with pytest.raises(AirflowFailException, match="no moment"):
        wait(wrong, mode)


def test_deleted_rows_do_not_count(mode: str, any_place: Place) -> None:
    """A count is of the rows readers see."""
    table = any_place.table()
    table.append(rows(1, 2, 3))
    table.append(rows(4, day="2026-01-16"))
    table.delete("day = '2026-01-15'")
    assert wait(_sensor(IcebergRowCountSensor, any_place), mode)["rows"] == 1
    with pytest.raises(AirflowSensorTimeout):
        wait(_sensor(IcebergRowCountSensor, any_place, min_rows=2), mode)


def test_a_branch_has_news_of_its_own(mode: str, any_place: Place) -> None:
    """What is committed to main is none of a branch's news, and one that is not there yet is waited for."""
    table = any_place.table()
    table.append(rows(1))
    head = table.refresh().current_snapshot()
    assert head is not None
    with pytest.raises(AirflowSensorTimeout):
        wait(_sensor(IcebergRowCountSensor, any_place, branch="audit"), mode)
    table.manage_snapshots().create_branch(head.snapshot_id, "audit").commit()
    table.append(rows(2))
    assert wait(_sensor(IcebergRowCountSensor, any_place, branch="audit"), mode)["rows"] == 1
    assert wait(_sensor(IcebergRowCountSensor, any_place), mode)["rows"] == 2


def test_old_data_is_not_fresh(mode: str, any_place: Place) -> None:
    """A feed that stopped is found, however often its table is compacted."""
    table = any_place.table()
    table.append(rows(1))
    time.sleep(0.4)
    with pytest.raises(AirflowSensorTimeout):
        wait(_sensor(IcebergFreshnessSensor, any_place, max_age_seconds="0.3", timeout=0.1), mode)


def test_what_a_summary_does_not_say_is_taken_for_data(mode: str, any_place: Place) -> None:
    """A writer may leave all counts out; then nobody can say that its commit was empty."""
    table = any_place.table()
    table.append(rows(1))
    snapshot = table.refresh().current_snapshot()
    assert snapshot is not None
    assert changes_rows(snapshot)
    assert changes_rows(snapshot.model_copy(update={"summary": None}))
