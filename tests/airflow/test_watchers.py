"""Watches of assets: what a triggerer hears of a table or a prefix over time, and after it was restarted."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_lakehouse._compat import AssetWatcher, BaseEventTrigger, make_asset
from airflow_lakehouse.triggers.watch import NewEventsTrigger, NewSnapshotsTrigger, NewVersionsTrigger
from tests.airflow.conftest import CONN_ID, Place, rows
from tests.airflow.sensing import stored
from tests.airflow.test_raw_sensors import _left, _put, queue
from tests.airflow.test_table_sensors import _commit_nothing, _compact

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.triggers.base import WatchingTrigger

__all__ = ["queue"]


class _Store:
    """The asset's state store: strings by name."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self.kept.get(key)

    def set(self, key: str, value: str) -> None:
        self.kept[key] = value


def _watch(
    trigger: Any, *steps: Callable[[], Any], then: tuple[int, ...] = (), store: _Store | None = None
) -> list[Any]:
    """Return what a watch tells while steps are taken.

    :param trigger: the watch.
    :param steps: taken one after the other; before the first, the watch looks at what is there.
    :param then: how many events there must be after the start and after each step, before it goes on; 0 by default.
    :param store: state store of the asset.
    """
    watching: WatchingTrigger = stored(trigger)  # type: ignore[assignment] # the same class
    if store is not None:
        watching.asset_state_store = store  # type: ignore[assignment] # as the triggerer sets it
    looks: list[int] = []
    look = type(watching.looking_for).look

    def counted(*arguments: Any) -> Any:
        try:
            return look(watching.looking_for, *arguments)
        finally:
            looks.append(1)

    object.__setattr__(watching.looking_for, "look", counted)

    async def go() -> list[Any]:
        heard: list[Any] = []

        async def listen() -> None:
            async for event in watching.run():
                heard.append(json.loads(json.dumps(event.payload)))  # noqa: PERF401 - it never ends

        task = asyncio.ensure_future(listen())
        for number, step in enumerate((lambda: None, *steps)):
            expected = then[number] if number < len(then) else 0
            await asyncio.to_thread(step)
            seen, deadline = len(looks), time.monotonic() + 20
            # Two looks that begin after the step, so that what should not be told could have been.
            while (len(heard) < expected or len(looks) < seen + 3) and time.monotonic() < deadline:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)
            assert len(heard) >= expected
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return heard

    return asyncio.run(go())


def _snapshots(place: Place, **arguments: Any) -> NewSnapshotsTrigger:
    given = {"table": place.name("events"), "lakehouse_conn_id": CONN_ID, "poll_seconds": 0.05}
    return NewSnapshotsTrigger(**{**given, **arguments})


def test_commits_of_data_are_told_once(any_place: Place) -> None:
    """Each append is one event with its snapshot; compaction and an empty commit are none; no table yet is no end."""
    trigger = _snapshots(any_place)
    assert _watch(trigger) == []
    table = any_place.table()
    heard = _watch(
        trigger,
        lambda: table.append(rows(1)),
        lambda: _commit_nothing(table),
        lambda: _compact(table),
        lambda: table.append(rows(2, 3)),
        then=(0, 1, 1, 1, 2),
    )
    assert [event["rows_added"] for event in heard] == [1, 2]
    assert all(len(event["snapshot_ids"]) == 1 for event in heard)


def test_a_watch_goes_on_where_it_was(any_place: Place) -> None:
    """With the asset's state store, a new triggerer tells what came while there was none, and nothing twice."""
    table = any_place.table()
    store = _Store()
    assert len(_watch(_snapshots(any_place), lambda: table.append(rows(1)), then=(0, 1), store=store)) == 1
    table.append(rows(2))
    table.append(rows(3))
    (event,) = _watch(_snapshots(any_place), store=store)
    assert (event["snapshots"], event["rows_added"]) == (2, 2)
    assert _watch(_snapshots(any_place), store=store) == []


def test_a_watch_without_memory_tells_twice_rather_than_not_at_all(any_place: Place) -> None:
    """Before Airflow 3.3 nothing is kept: the last day is told again, what is older is not."""
    table = any_place.table()
    table.append(rows(1))
    for _ in range(2):
        assert len(_watch(_snapshots(any_place))) == 1
    time.sleep(0.3)
    assert _watch(_snapshots(any_place, lookback_seconds=0.2)) == []


def test_a_watch_outlives_what_it_reads(any_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog that is away for a while ends no watch: Airflow would not start it again."""
    table = any_place.table()
    connection = monkeypatch.context
    heard: list[Any] = []
    with connection() as away:
        away.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")

        def back() -> None:
            away.undo()
            table.append(rows(1))

        heard = _watch(_snapshots(any_place), back, then=(0, 1))
    assert len(heard) == 1


def test_new_objects_are_told_once(bucket: str) -> None:
    """By listing: each version one time, with what a load wants to know; a backlog comes in pieces."""
    for number in range(3):
        _put(bucket, f"fhir/dt=2026-01-15/{number}.json")
    trigger = NewVersionsTrigger(prefix=f"s3://{bucket}/drop", poll_seconds=0.05, max_versions=2)
    heard = _watch(trigger, lambda: _put(bucket, "fhir/dt=2026-01-16/4.json"), then=(2, 3))
    assert [event["objects"] for event in heard] == [2, 1, 1]
    assert len({uri for event in heard for uri in event["versions"]}) == 4
    assert "cursor" not in heard[0]
    assert heard[-1]["dt"] == ["2026-01-16"]


def test_events_are_deleted_one_look_after_they_were_told(bucket: str, queue: str) -> None:
    """By then the triggerer has stored the event. One that dies before leaves the message for the next."""
    _put(bucket, "a.json")
    given: dict[str, Any] = {"queue_url": queue, "prefix": f"s3://{bucket}/drop"}

    async def die_with_it() -> None:
        async for event in NewEventsTrigger(**given).run():
            assert event.payload["objects"] == 1
            return

    asyncio.run(die_with_it())
    assert _left(queue) == (0, 1)
    boto3.client("sqs").purge_queue(QueueUrl=queue)
    (event,) = _watch(NewEventsTrigger(**given, poll_seconds=0.05), lambda: _put(bucket, "b.json"), then=(0, 1))
    assert event["objects"] == 1
    assert _left(queue) == (0, 0)


@pytest.mark.skipif(AssetWatcher is None, reason="Airflow 2 watches no assets")
def test_airflow_takes_them_for_watchers() -> None:
    """An asset is made with its watch, and two watches of different things are two to Airflow."""
    one = NewSnapshotsTrigger(table="ops.events")
    other = NewSnapshotsTrigger(table="ops.others")
    asset = make_asset("iceberg://lakehouse/ops/events", "events", {"commits": one})
    assert [watcher.name for watcher in asset.watchers] == ["commits"]
    assert BaseEventTrigger.hash(*one.serialize()) != BaseEventTrigger.hash(*other.serialize())
