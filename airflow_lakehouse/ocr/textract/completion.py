"""SNS messages of jobs' ends, from an SQS queue: a hint to look at a job now, and never the truth.

A job that is found again by its token sends no second message; messages come twice, late, or to another reader; and a
queue may be shared. So what a message says of a job is asked of Textract itself, every job is looked at without any
message, too, and a message about a job that is not ours is given back untouched.
https://docs.aws.amazon.com/textract/latest/dg/async-notification-payload.html
"""

from __future__ import annotations

import json
import logging
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

log = logging.getLogger(__name__)

_WAIT_SECONDS: Final = 2
"""Long poll; short, because a batch that ends waits for it."""
_MOST_MESSAGES: Final = 10
_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 30.0


def job_of(body: str) -> str:
    """Return the job that a message is about; empty for one that is about something else.

    :param body: of the SQS message: SNS's envelope, or its message alone where delivery is raw.
    """
    try:
        values = json.loads(body)
        if isinstance(values, dict) and isinstance(values.get("Message"), str):
            values = json.loads(values["Message"])
    except ValueError:
        return ""
    job = values.get("JobId") if isinstance(values, dict) else None
    return job if isinstance(job, str) else ""


def ended_jobs(sqs: Any, queue_url: str, ours: Collection[str]) -> tuple[set[str], int]:
    """Return jobs of ours that messages name, taking those off the queue; and how many messages were not ours.

    :param sqs: boto3 client.
    :param queue_url: the queue.
    :param ours: ids of jobs.
    """
    answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=_MOST_MESSAGES, WaitTimeSeconds=_WAIT_SECONDS)
    found, foreign = set[str](), 0
    for message in answer.get("Messages") or ():
        job = job_of(message.get("Body") or "")
        handle = message["ReceiptHandle"]
        if job in ours:
            found.add(job)
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=handle)
        else:
            foreign += 1
            # Back at once: whose it is must not wait for the visibility timeout.
            sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=handle, VisibilityTimeout=0)
    return found, foreign


class Hints:
    """Listens to a queue in a thread of its own.

    :param sqs: boto3 client.
    :param queue_url: the queue.
    :param wake: called when a job of ours has ended.
    """

    def __init__(self, sqs: Any, queue_url: str, wake: Callable[[], object]) -> None:
        self._sqs, self._queue_url, self._wake = sqs, queue_url, wake
        self._ours: frozenset[str] = frozenset()
        self._found: SimpleQueue[str] = SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="textract-hints", daemon=True)
        self._thread.start()

    def take(self, ours: Iterable[str]) -> set[str]:
        """Return jobs that messages have named since the last call.

        :param ours: ids of the jobs that are waited for.
        """
        self._ours = frozenset(ours)
        found = set[str]()
        while not self._found.empty():
            found.add(self._found.get())
        return found

    def close(self) -> None:
        """Stop listening."""
        self._stopped.set()
        self._thread.join()

    def _listen(self) -> None:
        quiet = 0
        while not self._stopped.wait(min(_LONGEST_PAUSE, _PAUSE * 2**quiet) if quiet else _PAUSE):
            if not self._ours:
                continue
            try:
                found, foreign = ended_jobs(self._sqs, self._queue_url, self._ours)
            except Exception as error:  # noqa: BLE001 - without hints every job is still looked at
                log.warning("No hints from the queue: %s", type(error).__name__)
                quiet = min(quiet + 1, 10)
                continue
            for job in found:
                self._found.put(job)
            if found:
                self._wake()
            # A queue full of others' messages is left to them: each look counts towards their redrive policy.
            quiet = min(quiet + 1, 10) if foreign and not found else 0
