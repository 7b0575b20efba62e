"""Which job a document version has: one small object beside the result, written on a condition.

::

    <textract>/<sha256 of the document>/textract-<version>/job.json

It is written before the job is started, with everything that is sent to Textract. Whoever finds it, in another process
or after a crash, sends exactly that: Textract gives the same job for the same token and arguments, and charges once.
A salt in the token rises after a job that ended as FAILED, whose token would give the failed job again for seven days,
and never because a task is tried again.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow_lakehouse.ocr.textract.location import Location
    from airflow_lakehouse.ocr.textract.objects import Objects
    from airflow_lakehouse.ocr.textract.parameters import Parameters

JOB: Final = "job.json"
STARTING: Final = "starting"
"""The job may have been started, or not; starting it again gives the same one."""
RUNNING: Final = "running"
"""The job has an id; whether it has ended, Textract knows."""
SPENT: Final = "spent"
"""The job failed, or read other bytes than were meant; the next one has another token."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One document version's job.

    :param state: ``starting``, ``running`` or ``spent``.
    :param location: where Textract finds the bytes.
    :param api: end of the operations' names.
    :param request: arguments of the Start operation, without document and token.
    :param salt: jobs before this one that were spent.
    :param token: ``ClientRequestToken``: a second Start with it gives the same job.
    :param job_id: of the job, once it is known.
    :param expired: id of a job of the same token whose results are gone.
    :param started_at: seconds since the epoch; 0 where it is not known yet.
    :param pages: how many the document was found to have.
    :param selected: pages of the document that the location holds, where those are not all.
    """

    state: str
    location: dict[str, Any]
    api: str
    request: dict[str, Any]
    salt: int
    token: str
    job_id: str = ""
    expired: str = ""
    started_at: float = 0.0
    pages: int = 0
    selected: list[int] = field(default_factory=list)

    @classmethod
    def fresh(cls, location: Location, parameters: Parameters, salt: int, pages: int = 0) -> Entry:
        """Return the entry of a job that is about to be started.

        :param location: of the document.
        :param parameters: what is asked.
        :param salt: jobs before it that were spent.
        :param pages: of the document.
        """
        where, request = location.as_dict(), parameters.request()
        token = token_of(where, parameters.api, request, salt)
        return cls(STARTING, where, parameters.api, request, salt, token, pages=pages)

    def running(self, job_id: str) -> Entry:
        """Return the entry with the job's id.

        :param job_id: what the Start operation gave.
        """
        return replace(self, state=RUNNING, job_id=job_id, started_at=time.time())

    def spent(self) -> Entry:
        """Return the entry of a job that is of no use."""
        return replace(self, state=SPENT)

    def lost(self) -> Entry:
        """Return the entry for starting again a job whose results have expired; its token has, too, or is about to."""
        return replace(self, state=STARTING, job_id="", expired=self.job_id)

    def salted(self) -> Entry:
        """Return the entry with another token, for the same document and question."""
        salt = self.salt + 1
        token = token_of(self.location, self.api, self.request, salt)
        return replace(self, state=STARTING, salt=salt, token=token, job_id="", expired="")


def token_of(location: dict[str, Any], api: str, request: dict[str, Any], salt: int) -> str:
    """Return the token of a job: 64 hex digits that say everything Textract is told.

    The same token with other arguments is refused (``IdempotentParameterMismatchException``), so content alone is no
    token: the same bytes under two keys are two requests.

    :param location: of the document.
    :param api: end of the operations' names.
    :param request: the other arguments.
    :param salt: jobs before it that were spent.
    """
    text = json.dumps([location, api, request, salt], sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


class Ledger:
    """The entries below one root.

    :param objects: the root.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def read(self, result: str) -> Entry | None:
        """Return the entry of a result, or None.

        :param result: folder of the result.
        """
        found = self._read(result)
        return found[0] if found else None

    def agree(self, result: str, before: Entry | None, after: Entry) -> Entry:
        """Write an entry in place of another, and return the one that is there: somebody else may have been faster.

        :param result: folder of the result.
        :param before: what was there.
        :param after: what is to be there.
        """
        found = self._read(result)
        if (found[0] if found else None) != before:
            return found[0] if found else self.agree(result, None, after)
        data = json.dumps(asdict(after), sort_keys=True).encode()
        if self._objects.write_if(f"{result}/{JOB}", data, found[1] if found else None):
            return after
        return self.read(result) or after

    def _read(self, result: str) -> tuple[Entry, str] | None:
        found = self._objects.read_version(f"{result}/{JOB}")
        return (Entry(**json.loads(found[0])), found[1]) if found else None
