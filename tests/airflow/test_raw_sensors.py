"""The sensors over raw drops and S3: on the worker and through the triggerer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_lakehouse._compat import AirflowFailException, AirflowSensorTimeout
from airflow_lakehouse.hooks.object_versions import VersionsLook, _Cursor
from airflow_lakehouse.hooks.s3_events import EventsLook
from airflow_lakehouse.sensors.raw_drop import RawPartitionSensor
from airflow_lakehouse.sensors.raw_versions import RawEventsSensor, RawVersionsSensor, acknowledge_taken
from tests.airflow.sensing import DEFERRED, HASTE, MODES, fire, stored, wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = "2026-01-15"


class _Instance:
    """A task instance whose earlier run had a result."""

    map_index = -1

    def __init__(self, last: dict[str, Any] | None) -> None:
        self.last = last
        self.asked: dict[str, Any] = {}

    def xcom_pull(self, **asked: Any) -> dict[str, Any] | None:
        self.asked = asked
        return self.last


@pytest.fixture(params=["local", "s3"])
def drop(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[str], None]]:
    """Return the root of an empty drop and what puts a file into it."""
    if request.param == "local":

        def put(name: str) -> None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("{}\n")

        return str(tmp_path), put
    bucket = request.getfixturevalue("bucket")
    return f"s3://{bucket}/drop", lambda name: _put(bucket, name)


def _day(raw: str, **arguments: Any) -> RawPartitionSensor:
    return RawPartitionSensor(**{**HASTE, "timeout": 0.1, "dt": DAY, "raw": raw, **arguments})


@pytest.mark.parametrize("mode", MODES)
def test_a_day_is_complete_when_its_marker_is_there(mode: str, drop: tuple[str, Callable[[str], None]]) -> None:
    """Every folder of the day needs its own, and a kind that is asked for and absent keeps the day waiting."""
    raw, put = drop
    put(f"fhir/dt={DAY}/Patient.ndjson")
    put(f"docs/source=north/dt={DAY}/letter.pdf")
    put(f"fhir/dt={DAY}/_SUCCESS")
    put("fhir/dt=2026-01-16/Patient.ndjson")
    with pytest.raises(AirflowSensorTimeout):
        wait(_day(raw, marker="_SUCCESS"), mode)
    put(f"docs/source=north/dt={DAY}/_SUCCESS")
    with pytest.raises(AirflowSensorTimeout):
        wait(_day(raw, marker="_SUCCESS", kinds=["labs"]), mode)
    found = wait(_day(raw, marker="_SUCCESS", kinds=["fhir"]), mode)
    assert list(found["folders"]) == [f"docs/source=north/dt={DAY}/", f"fhir/dt={DAY}/"]
    assert (found["files"], found["bytes"], found["missing"]) == (2, 6, [])


@pytest.mark.parametrize("mode", MODES)
def test_a_day_is_complete_when_it_is_quiet(mode: str, drop: tuple[str, Callable[[str], None]]) -> None:
    """Without a marker, a folder nobody has written to for a while is complete; an unfinished upload keeps it awake."""
    raw, put = drop
    put(f"fhir/dt={DAY}/Patient.ndjson")
    put(f"fhir/dt={DAY}/.Encounter.ndjson.part")
    with pytest.raises(AirflowSensorTimeout):
        wait(_day(raw, quiet_seconds=60), mode)
    found = wait(_day(raw, quiet_seconds=0.5, timeout=5), mode)
    assert (found["files"], found["folders"][f"fhir/dt={DAY}/"]["complete"]) == (1, True)


@pytest.mark.parametrize("mode", MODES)
def test_a_day_that_is_none_is_refused(mode: str, tmp_path: Path) -> None:
    """A range, or no day at all, would be waited for in vain."""
    for dt in ("2026-01-01..2026-01-31", "yesterday"):
        with pytest.raises(AirflowFailException, match="Legal"):
            wait(_day(str(tmp_path), dt=dt), mode)


def _put(bucket: str, name: str, body: bytes = b"{}\n") -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key=f"drop/{name}", Body=body)


def _versions(bucket: str, **arguments: Any) -> RawVersionsSensor:
    return RawVersionsSensor(**{**HASTE, "timeout": 0.1, "prefix": f"s3://{bucket}/drop", **arguments})


@pytest.mark.parametrize("mode", MODES)
def test_each_version_is_found_once(mode: str, bucket: str) -> None:
    """A run goes on where the last one ended: an object written over is new, what was found is not, no marker is."""
    _put(bucket, f"fhir/dt={DAY}/Patient.ndjson")
    _put(bucket, f"fhir/dt={DAY}/_SUCCESS")
    _put(bucket, f"fhir/dt={DAY}/a b+c.ndjson")
    boto3.client("s3").put_object(Bucket=bucket, Key="elsewhere/x", Body=b"")
    first = wait(_versions(bucket), mode)
    assert (first["objects"], first["dt"], first["more"]) == (2, [DAY], 0)
    assert all(
        uri.startswith(f"s3://{bucket}/drop/fhir/dt={DAY}/") and "?versionId=" in uri for uri in first["versions"]
    )
    instance = _Instance(first)
    with pytest.raises(AirflowSensorTimeout):
        wait(_versions(bucket), mode, {"ti": instance})
    assert instance.asked == {
        "task_ids": "wait",
        "key": "return_value",
        "map_indexes": -1,
        "include_prior_dates": True,
    }
    _put(bucket, f"fhir/dt={DAY}/Patient.ndjson", b"{ }\n")
    second = wait(_versions(bucket), mode, {"ti": instance})
    assert (second["objects"], second["bytes"]) == (1, 4)
    assert not set(second["versions"]) & set(first["versions"])


@pytest.mark.parametrize("mode", MODES)
def test_what_is_left_over_comes_next(mode: str, bucket: str) -> None:
    """Results stay small, and no version is left out of all of them."""
    for number in range(5):
        _put(bucket, f"{number}.json")
    seen: list[str] = []
    last: dict[str, Any] | None = None
    for more in (3, 1, 0):
        last = wait(_versions(bucket, max_versions=2), mode, {"ti": _Instance(last)})
        seen += last["versions"]
        assert last["more"] == more
    assert len(seen) == len(set(seen)) == 5


def test_an_upload_that_took_long_is_not_lost(bucket: str) -> None:
    """A large object carries the time its upload began, before that of an object that was found already."""
    client = boto3.client("s3")
    upload = client.create_multipart_upload(Bucket=bucket, Key="drop/large.json")["UploadId"]
    time.sleep(0.05)
    _put(bucket, "small.json")
    look = VersionsLook(f"s3://{bucket}/drop")
    first = look.look()
    part = client.upload_part(Bucket=bucket, Key="drop/large.json", UploadId=upload, PartNumber=1, Body=b"x")
    parts: Any = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    client.complete_multipart_upload(Bucket=bucket, Key="drop/large.json", UploadId=upload, MultipartUpload=parts)
    assert look.look(first.cursor).found["objects"] == 1
    # What S3 says of its time: the same holds where it lies before the newest that was taken.
    cursor = _Cursor.read(first.cursor, 0)
    assert cursor.after_ms < max(cursor.taken.values()) - 3_600_000


def test_a_bucket_without_versions_tells_objects_apart_by_time(aws_endpoint: str) -> None:
    """The same content written again is a new object there, too."""
    client = boto3.client("s3")
    name = f"plain-{time.time_ns()}"
    client.create_bucket(Bucket=name)
    look = VersionsLook(f"s3://{name}")
    client.put_object(Bucket=name, Key="a.json", Body=b"1")
    first = look.look()
    assert first.found["versions"] == [f"s3://{name}/a.json"]
    assert not look.look(first.cursor).ready
    time.sleep(0.01)
    client.put_object(Bucket=name, Key="a.json", Body=b"1")
    assert look.look(first.cursor).ready


@pytest.fixture
def queue(bucket: str) -> str:
    """Return the queue that S3 tells of the bucket's objects."""
    sqs = boto3.client("sqs")
    url: str = sqs.create_queue(QueueName=bucket, Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    tell: Any = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    boto3.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [tell]}
    )
    return url


def _events(bucket: str, queue: str, **arguments: Any) -> RawEventsSensor:
    given = {"prefix": f"s3://{bucket}/drop", "queue_url": queue, "timeout": 0.1}
    return RawEventsSensor(**{**HASTE, **given, **arguments})


def _left(queue: str) -> tuple[int, int]:
    """Return how many messages of a queue can be seen, and how many are hidden."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return int(told[names[0]]), int(told[names[1]])


@pytest.mark.parametrize("mode", MODES)
def test_events_are_taken_when_the_task_has_succeeded(mode: str, bucket: str, queue: str) -> None:
    """Until then the messages are hidden, and in the queue: a worker that dies with the result loses nothing."""
    _put(bucket, f"fhir/dt={DAY}/a b+c.ndjson", b"12345")
    _put(bucket, f"fhir/dt={DAY}/_SUCCESS")
    boto3.client("s3").delete_object(Bucket=bucket, Key="drop/gone.json")
    sensor = _events(bucket, queue)
    found = wait(sensor, mode)
    (uri,) = found["versions"]
    assert uri.startswith(f"s3://{bucket}/drop/fhir/dt={DAY}/a b+c.ndjson?versionId=")
    assert (found["objects"], found["bytes"], found["dt"], found["messages"]) == (1, 5, [DAY], 1)
    assert "receipt" not in json.dumps(found).lower()
    assert _left(queue) == (0, 1)
    for callback in sensor.on_success_callback:
        callback({"task": sensor})
    assert _left(queue) == (0, 0)
    with pytest.raises(AirflowSensorTimeout):
        wait(_events(bucket, queue), mode)


def test_callbacks_of_the_user_are_kept(bucket: str, queue: str) -> None:
    """The sensor's own comes after them, from default_args as well."""
    sensor = _events(bucket, queue, on_success_callback=print)
    assert sensor.on_success_callback == [print, acknowledge_taken]
    assert _events(bucket, queue).on_success_callback == [acknowledge_taken]


def test_messages_of_others_are_counted_and_left_alone(bucket: str, queue: str) -> None:
    """Other prefixes, other buckets, and what is no event at all: it stays for whom it is for, at once."""
    sqs = boto3.client("sqs")
    boto3.client("s3").put_object(Bucket=bucket, Key="dropped/x.json", Body=b"")
    for body in ("no event", "[1]", json.dumps({"Records": [{"eventSource": "aws:s3", "s3": {}}]})):
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    _put(bucket, "mine.json")
    finding = EventsLook(queue, f"s3://{bucket}/drop").look()
    assert (finding.found["objects"], finding.found["foreign"], len(finding.receipts)) == (1, 4, 1)
    assert _left(queue) == (4, 1)


def test_envelopes_of_sns_and_eventbridge_are_opened(bucket: str, queue: str) -> None:
    """The same news by the two other ways AWS sends it, each once though sent twice."""
    sqs = boto3.client("sqs")
    thing = {"key": "drop/a b+c.json", "size": 3, "etag": "e", "version-id": "v1"}
    bridge = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": "2026-01-15T06:00:00Z",
        "detail": {"bucket": {"name": bucket}, "object": thing},
    }
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:CompleteMultipartUpload",
        "eventTime": "2026-01-15T06:00:00.000Z",
        "s3": {"bucket": {"name": bucket}, "object": {"key": "drop/d%20e.json", "size": 1, "eTag": "e"}},
    }
    for body in (bridge, bridge, {"Type": "Notification", "Message": json.dumps({"Records": [record]})}):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(body))
    finding = EventsLook(queue, f"s3://{bucket}/drop").look()
    assert sorted(finding.found["versions"]) == [
        f"s3://{bucket}/drop/a b+c.json?versionId=v1",
        f"s3://{bucket}/drop/d e.json",
    ]
    assert len(finding.receipts) == 3


_TRIGGERER = """
import asyncio, importlib, json, sys
path, arguments = json.loads(sys.argv[1])
module, _, name = path.rpartition(".")
trigger = getattr(importlib.import_module(module), name)(**arguments)
async def run():
    async for event in trigger.run():
        print("event", flush=True)
        await asyncio.sleep(600)
asyncio.run(run())
"""


def test_a_triggerer_that_dies_loses_no_event(bucket: str, queue: str) -> None:
    """Killed with the event in its hand, before Airflow has it: the next triggerer tells the same."""
    _put(bucket, "a.json")
    sensor = _events(bucket, queue, hold_seconds=3, timeout=30)
    trigger = sensor.make_trigger({})
    command = [sys.executable, "-W", "ignore", "-c", _TRIGGERER, json.dumps(trigger.serialize())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy()) as triggerer:
        assert triggerer.stdout is not None
        assert any(line.strip() == "event" for line in triggerer.stdout)
        triggerer.send_signal(signal.SIGKILL)
    assert _left(queue) == (0, 1)
    event = fire(stored(trigger))
    assert (event["status"], event["found"]["objects"]) == ("found", 1)
    assert sensor.execute_complete({}, event)["objects"] == 1
    acknowledge_taken({"task": sensor})
    assert _left(queue) == (0, 0)


def test_a_message_held_too_long_comes_again_and_fails_nothing(bucket: str, queue: str) -> None:
    """Where somebody else has got it meanwhile, its old receipt is no good: that is said, and the task succeeds."""
    _put(bucket, "a.json")
    sensor = _events(bucket, queue)
    wait(sensor, DEFERRED)
    sensor.taken = ["no-such-receipt"]
    acknowledge_taken({"task": sensor})
    assert _left(queue) == (0, 1)
