"""New versions of objects by S3's event notifications in an SQS queue: no listing, however large the prefix.

A message is received, not taken: SQS hides it for :attr:`EventsLook.hold_seconds`, and it is deleted only once the
finding it led to is safe in Airflow. Whoever dies in between, trigger, triggerer or worker, leaves it to the next look.
So nothing is lost, and something may come twice: what loads it must not mind, as this package's jobs do not.

Read are S3's own messages, the same wrapped by SNS, and EventBridge's; S3's user guide, "Event message structure".
Messages about anything else are somebody else's: they are counted, and let go at once.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from airflow_lakehouse.hooks.looking import Finding, Look, milliseconds
from airflow_lakehouse.hooks.object_versions import ObjectVersion, split_uri, summarise
from airflow_lakehouse.hooks.raw_drop import is_input

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MESSAGES: Final = 100
"""How many messages one finding stands for; their receipts travel through Airflow's database, half a kilobyte each."""

HOLD_SECONDS: Final = 900
"""How long messages are hidden: longer than a task waits for a worker after its trigger fired."""

_BATCH: Final = 10
"""What SQS takes and gives at a time."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Message:
    """What a message says of a prefix: whether it is about it, and which versions are new there."""

    is_ours: bool
    versions: tuple[ObjectVersion, ...] = ()


@dataclass(frozen=True)
class EventsLook(Look):
    """Look for new versions in a queue: what :func:`summarise` tells, ``messages``, and how many ``foreign`` ones came.

    Give each sensor a queue of its own: a message of another prefix is received, counted and let go at every look.

    :param queue_url: the queue's URL.
    :param prefix: ``s3://bucket/prefix``; what is elsewhere is foreign.
    :param max_messages: how many messages one finding stands for; the others come next time.
    :param hold_seconds: how long they are hidden from others until the finding must have been taken.
    :param aws_conn_id: Airflow's AWS connection; None takes what boto3 finds.
    """

    queue_url: str
    prefix: str
    max_messages: int = MAX_MESSAGES
    hold_seconds: int = HOLD_SECONDS
    aws_conn_id: str | None = None

    def look(self, cursor: dict[str, Any] | None = None) -> Finding:  # noqa: ARG002 - the queue is the cursor
        """Receive what is there."""
        bucket, below = split_uri(self.prefix)
        client = self._client()
        versions: dict[str, ObjectVersion] = {}
        held: list[str] = []
        idle: list[str] = []
        foreign: list[str] = []
        for receipt, body in self._receive(client):
            message = _read(body, bucket, below)
            # Sent twice, which S3 and SQS both may do, a version is still one.
            versions.update({version.digest: version for version in message.versions})
            (held if message.versions else idle if message.is_ours else foreign).append(receipt)
        # A deletion, a marker, S3's test: there is nothing in it that could get lost.
        self._delete(client, idle)
        self._hide(client, foreign, 0)
        # From now on the whole of it: the first messages were received a while ago.
        self._hide(client, held, int(self.hold_seconds))
        found = {**summarise(self.prefix, versions.values()), "messages": len(held), "foreign": len(foreign)}
        return Finding(bool(held), found, None, held)

    def hold(self, receipts: list[str]) -> None:
        """Hide the messages for the whole time again.

        :param receipts: of the finding.
        """
        self._hide(self._client(), receipts, int(self.hold_seconds))

    def acknowledge(self, receipts: list[str]) -> None:
        """Delete the messages: the finding was taken.

        :param receipts: of the finding.
        """
        self._delete(self._client(), receipts)

    def _client(self) -> Any:
        # Imported when used: boto3 and the provider cost a DAG parse 0.6 s.
        from airflow.providers.amazon.aws.hooks.sqs import SqsHook

        return SqsHook(aws_conn_id=self.aws_conn_id).get_conn()

    def _receive(self, client: Any) -> Iterator[tuple[str, str]]:
        left = int(self.max_messages)
        seen: set[str] = set()
        while left > 0:
            answer = client.receive_message(
                QueueUrl=self.queue_url,
                MaxNumberOfMessages=min(_BATCH, left),
                VisibilityTimeout=int(self.hold_seconds),
                # One second asks every server of the queue; without it, SQS asks some and may find nothing.
                WaitTimeSeconds=1,
            )
            # Where the time to hold is over before the look is, the first ones come again.
            messages = [one for one in answer.get("Messages", ()) if one["MessageId"] not in seen]
            if not messages:
                return
            seen.update(one["MessageId"] for one in messages)
            left -= len(messages)
            yield from ((one["ReceiptHandle"], one["Body"]) for one in messages)

    def _hide(self, client: Any, receipts: list[str], seconds: int) -> None:
        for batch in _batches(receipts):
            entries = [{**entry, "VisibilityTimeout": seconds} for entry in batch]
            answer = client.change_message_visibility_batch(QueueUrl=self.queue_url, Entries=entries)
            _warn("could not be hidden any longer", answer)

    def _delete(self, client: Any, receipts: list[str]) -> None:
        for batch in _batches(receipts):
            _warn("could not be deleted", client.delete_message_batch(QueueUrl=self.queue_url, Entries=batch))


def _batches(receipts: list[str]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(receipts), _BATCH):
        yield [{"Id": str(n), "ReceiptHandle": one} for n, one in enumerate(receipts[start : start + _BATCH])]


def _warn(what: str, answer: dict[str, Any]) -> None:
    """Say what failed. It is no error: such messages were held too long, and come again."""
    if failed := answer.get("Failed"):
        codes = sorted({str(one.get("Code")) for one in failed})
        _log.warning("%d SQS messages %s (%s); what they tell comes again", len(failed), what, ", ".join(codes))


def _read(body: str, bucket: str, below: str) -> _Message:
    try:
        told = json.loads(body)
        if isinstance(told, dict) and isinstance(told.get("Message"), str):  # SNS puts it in an envelope
            told = json.loads(told["Message"])
    except ValueError:
        return _Message(False)
    if not isinstance(told, dict):
        return _Message(False)
    if told.get("Event") == "s3:TestEvent":
        return _Message(told.get("Bucket") == bucket)
    try:
        events = [event for event in _events(told) if event[1].bucket == bucket and event[1].key.startswith(below)]
    except (KeyError, TypeError, ValueError):
        return _Message(False)
    versions = (version for created, version in events if created)
    return _Message(
        bool(events), tuple(one for one in versions if is_input(one.key.removeprefix(below)) and one.key[-1:] != "/")
    )


def _events(told: dict[str, Any]) -> Iterator[tuple[bool, ObjectVersion]]:
    """Go through the events of a message: whether each created a version, and which."""
    if told.get("source") == "aws.s3" and "detail" in told:
        detail = told["detail"]
        yield told["detail-type"] == "Object Created", _version(detail, told["time"], "version-id", "etag")
        return
    for record in told.get("Records", ()):
        if record.get("eventSource") in ("aws:s3", "minio:s3"):
            created = record["eventName"].removeprefix("s3:").startswith("ObjectCreated:")
            # Only these keys are written as in the query of a URL.
            yield created, _version(record["s3"], record["eventTime"], "versionId", "eTag", unquote_plus)


def _version(about: dict[str, Any], when: str, version: str, etag: str, decode: Any = str) -> ObjectVersion:
    thing = about["object"]
    return ObjectVersion(
        about["bucket"]["name"],
        decode(thing["key"]),
        thing.get(version),
        thing.get(etag, ""),
        int(thing.get("size", 0)),
        milliseconds(when) or 0,
    )
