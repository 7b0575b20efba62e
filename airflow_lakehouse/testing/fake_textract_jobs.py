"""Jobs of the fake Textract: tokens, the window, rates, pages of results, and how long everything lives.

Rules are those of https://docs.aws.amazon.com/textract/latest/dg/api-async.html and of the operations' pages in the API
reference. The clock can be set forward.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.testing.fake_textract_answers import FAILED, Answer, Asked, with_queries, without_pages

if TYPE_CHECKING:
    from airflow_lakehouse.testing.fake_textract_answers import Answers

LIFE_SECONDS: Final = 7 * 24 * 3600
"""Life of a token, a job and its results."""
MOST_BLOCKS: Final = 1000
_TOKEN: Final = re.compile(r"[a-zA-Z0-9\-_]{1,64}")
_TAG: Final = re.compile(r"[a-zA-Z0-9_.\-:]{1,64}")
_FEATURES: Final = ("TABLES", "FORMS", "QUERIES", "SIGNATURES", "LAYOUT")
_MOST_QUERIES: Final = 30


class Refused(Exception):  # noqa: N818 - an answer of the service
    """The service refuses a request.

    :param code: as in the API reference.
    :param message: for people.
    :param status: of HTTP.
    """

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        self.code, self.message, self.status = code, message or code, status
        super().__init__(code)


@dataclass
class Job:
    """One job: what is paid for.

    :param job_id: its id.
    :param api: end of the names of its operations.
    :param asked: what it is about.
    :param started_at: on the fake's clock.
    :param ends_at: on the same.
    """

    job_id: str
    api: str
    asked: Asked
    started_at: float
    ends_at: float
    answer: Answer | None = None
    has_ended: bool = False
    outcomes: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Jobs:
    """All jobs, and what the account may do.

    :param answers: says what a job finds.
    :param window: jobs of one API at once.
    :param start_tps: Start requests of one API a second.
    :param get_tps: Get requests of one API a second.
    :param delay: seconds that a job takes.
    """

    def __init__(
        self,
        answers: Answers,
        *,
        window: int = 100,
        start_tps: float = 1000.0,
        get_tps: float = 1000.0,
        delay: float = 0.0,
    ) -> None:
        self.answers, self.window, self.delay = answers, window, delay
        self.tps = {"Start": start_tps, "Get": get_tps}
        self.jobs: dict[str, Job] = {}
        self.counts: Counter[str] = Counter()
        """Operation, and code of each refusal, to how often."""
        self.most_in_flight = 0
        self._tokens: dict[tuple[str, str], tuple[str, str, float]] = {}
        self._times: dict[str, deque[float]] = {}
        self._ahead = 0.0
        self.lock = threading.RLock()

    def now(self) -> float:
        """Return the time on the fake's clock, seconds since the epoch."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Set the clock forward.

        :param seconds: by how much.
        """
        self._ahead += seconds

    def in_flight(self, api: str) -> int:
        """Return how many jobs of an API run.

        :param api: end of the operations' names.
        """
        return sum(job.api == api and self.runs(job) for job in list(self.jobs.values()))

    def runs(self, job: Job) -> bool:
        """Tell whether a job has not ended: its time is not over, or what it finds is not known yet.

        :param job: the job.
        """
        return job.ends_at > self.now() or job.answer is None

    def check_rate(self, verb: str, api: str) -> None:
        """Count a request, and refuse one too many in a second.

        :param verb: ``Start`` or ``Get``.
        :param api: end of the operation's name.
        :raises Refused: as the service does.
        """
        with self.lock:
            times = self._times.setdefault(f"{verb}{api}", deque())
            now = time.monotonic()
            while times and times[0] <= now - 1:
                times.popleft()
            if len(times) >= self.tps[verb]:
                raise Refused("ProvisionedThroughputExceededException", "Provisioned rate exceeded")
            times.append(now)

    def start(self, api: str, request: dict[str, Any], read: Any) -> tuple[Job, bool]:
        """Start a job, or return the one of the same token; and tell whether it is a new one.

        :param api: end of the operation's name.
        :param request: its arguments.
        :param read: returns the bytes of the object, or refuses.
        :raises Refused: as the service does.
        """
        _check_request(api, request)
        token = request.get("ClientRequestToken")
        said = json.dumps({key: value for key, value in request.items() if key != "ClientRequestToken"}, sort_keys=True)
        with self.lock:
            known = self._tokens.get((api, token)) if token else None
            if known and known[2] > self.now() - LIFE_SECONDS:
                if known[1] != said:
                    raise Refused("IdempotentParameterMismatchException", "The token was used with other arguments")
                return self.jobs[known[0]], False
        data = read()
        with self.lock:
            if token and (api, token) in self._tokens and self._tokens[api, token][2] > self.now() - LIFE_SECONDS:
                return self.start(api, request, lambda: data)
            if self.in_flight(api) >= self.window:
                raise Refused("LimitExceededException", "Open jobs exceed maximum concurrent job limit")
            now, key = self.now(), request["DocumentLocation"]["S3Object"]["Name"]
            job = Job(uuid.uuid4().hex * 2, api, Asked(key, data, request), now, now + self.delay)
            self.jobs[job.job_id] = job
            if token:
                self._tokens[api, token] = (job.job_id, said, now)
            self.most_in_flight = max(self.most_in_flight, self.in_flight(api))
            return job, True

    def find(self, api: str, job_id: str) -> Job:
        """Return a job that is known and has not expired.

        :param api: end of the operation's name; a job of one is unknown to the other.
        :param job_id: its id.
        :raises Refused: as the service does.
        """
        job = self.jobs.get(job_id)
        if job is None or job.api != api or job.started_at <= self.now() - LIFE_SECONDS:
            raise Refused("InvalidJobIdException", "Request has invalid Job Id")
        return job

    def answer(self, job: Job) -> Answer:
        """Return what a job that has ended has found.

        :param job: the job.
        """
        with job.lock:
            if job.answer is None:
                try:
                    answer = with_queries(self.answers(job.asked), job.asked.request)
                except Exception:  # noqa: BLE001 - whatever a test's own answers do, the job ends
                    answer = Answer(status=FAILED)
                for status, pages in job.outcomes:
                    answer = Answer(status=FAILED) if status == FAILED else without_pages(answer, pages)
                job.answer = answer
            return job.answer

    def get(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return one response of a job.

        :param api: end of the operation's name.
        :param request: its arguments.
        :raises Refused: as the service does.
        """
        job = self.find(api, request.get("JobId") or "")
        most = request.get("MaxResults") or MOST_BLOCKS
        if not most >= 1:
            raise Refused("InvalidParameterException", "MaxResults is below 1")
        offset = _offset(job, request.get("NextToken"))
        if self.runs(job):
            return {"JobStatus": "IN_PROGRESS"}
        return response_of(job, self.answer(job), offset, min(most, MOST_BLOCKS))


def response_of(job: Job, answer: Answer, offset: int, most: int) -> dict[str, Any]:
    """Return the response that begins with a block.

    :param job: the job.
    :param answer: what it has found.
    :param offset: number of the block, from 0.
    :param most: blocks in it.
    """
    model = "AnalyzeDocumentModelVersion" if job.api == "DocumentAnalysis" else "DetectDocumentTextModelVersion"
    if answer.status == FAILED:
        # Neither blocks nor the number of pages: as recorded of the service.
        return {"JobStatus": FAILED, "StatusMessage": "INTERNAL_ERROR", model: answer.model}
    last = min(offset + most, len(answer.blocks))
    response: dict[str, Any] = {
        "JobStatus": answer.status,
        "DocumentMetadata": {"Pages": answer.pages},
        "Blocks": answer.blocks[offset:last],
        model: answer.model,
    }
    if answer.warnings:
        response["Warnings"] = answer.warnings
    if last < len(answer.blocks):
        response["NextToken"] = base64.b64encode(f"{job.job_id}:{last}".encode()).decode()
    return response


def _offset(job: Job, token: str | None) -> int:
    if not token:
        return 0
    try:
        job_id, _, offset = base64.b64decode(token, validate=True).decode().partition(":")
        if job_id == job.job_id:
            return int(offset)
    except ValueError:
        pass
    raise Refused("InvalidParameterException", "NextToken is not of this job")


def _check_request(api: str, request: dict[str, Any]) -> None:
    token, tag = request.get("ClientRequestToken"), request.get("JobTag")
    features = request.get("FeatureTypes") or []
    queries = (request.get("QueriesConfig") or {}).get("Queries") or []
    location = (request.get("DocumentLocation") or {}).get("S3Object") or {}
    is_analysis = api == "DocumentAnalysis"
    wrong = (
        (token is not None and not _TOKEN.fullmatch(token), "ClientRequestToken"),
        (tag is not None and not _TAG.fullmatch(tag), "JobTag"),
        (is_analysis and not features, "FeatureTypes"),
        (not set(features) <= set(_FEATURES), "FeatureTypes"),
        (is_analysis and bool(queries) != ("QUERIES" in features), "QueriesConfig"),
        (len(queries) > _MOST_QUERIES, "QueriesConfig"),
        (not location.get("Bucket") or not location.get("Name"), "DocumentLocation"),
        (bool(request.get("KMSKeyId")) and not request.get("OutputConfig"), "KMSKeyId"),
    )
    for is_wrong, name in wrong:
        if is_wrong:
            raise Refused("InvalidParameterException", f"{name} is not valid")
    if "#" in location["Name"]:
        raise Refused("InvalidS3ObjectException", "The name of the object is not valid")
