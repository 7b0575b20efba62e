"""A fake Amazon Textract that boto3 talks to over HTTP on the loopback address, with the service's own rules.

It starts jobs on real objects in S3, honours tokens (the same token and arguments are the same job, and no second
message is sent), enforces the window and the rates, pages results at a thousand blocks, forgets jobs after seven days,
writes OutputConfig objects and sends messages of jobs' ends. What a job finds is a recorded response, or what an engine
of this machine reads in the object. It can be told to misbehave::

    def test_load(fake_textract):
        fake_textract.refuse("ThrottlingException", operation="Start.*", times=3)
        fake_textract.fail(keys="a[.]pdf$", times=1)
        ...
        assert len(fake_textract.jobs) == 2

The protocol is AWS JSON 1.1: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html.
"""

from __future__ import annotations

import json
import random
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.testing.fake_textract_answers import FAILED, PARTIAL, Answers, read_here
from airflow_lakehouse.testing.fake_textract_jobs import Job, Jobs, Refused
from airflow_lakehouse.testing.fake_textract_output import envelope_of, message_of, write_access_check, write_output
from airflow_lakehouse.testing.loopback import LoopbackServer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

_TARGETS: Final = re.compile(r"Textract\.(Start|Get)(DocumentAnalysis|DocumentTextDetection)")
_QUOTAS: Final = "ServiceQuotasV20190624.ListServiceQuotas"
_LOST: Final = "lost response"
_TICK_SECONDS: Final = 0.02
_SERVER_ERRORS: Final = ("InternalServerError", "ServiceUnavailable")


@dataclass
class Rule:
    """A fault, and which requests it befalls.

    :param code: of the error; or what becomes of the job.
    :param operation: pattern of names of operations.
    :param keys: pattern that is searched in the key of the document.
    :param probability: how often.
    :param times: how many more times; None without end.
    :param pages: pages that are lost.
    """

    code: str
    operation: re.Pattern[str]
    keys: re.Pattern[str]
    probability: float = 1.0
    times: int | None = None
    pages: tuple[int, ...] = ()


class FakeTextract:
    """The service, and what is told of it.

    :param answers: says what a job finds; by default the text layer of the object.
    :param s3: returns a boto3 client of S3; by default what the environment leads to.
    :param sqs: returns a boto3 client of SQS; likewise.
    :param seed: of the dice.
    :param limits: ``window``, ``start_tps``, ``get_tps``, ``delay``: see :class:`Jobs`.
    """

    def __init__(
        self, answers: Answers | None = None, *, s3: Any = None, sqs: Any = None, seed: int = 0, **limits: Any
    ) -> None:
        self.service = Jobs(answers or read_here(), **limits)
        self.endpoint = ""
        self.quotas_allowed = True
        self._clients: dict[str, Any] = {}
        self._make = {"s3": s3 or (lambda: _client("s3")), "sqs": sqs or (lambda: _client("sqs"))}
        self._queues: dict[str, tuple[str, bool]] = {}
        self._rules: list[Rule] = []
        self._dice = random.Random(seed)  # noqa: S311 - no secret
        self._stopped = threading.Event()

    # -- what is told ------------------------------------------------------------------------------------------------

    @property
    def jobs(self) -> list[Job]:
        """The jobs that were started: what is paid for."""
        return list(self.service.jobs.values())

    @property
    def counts(self) -> Counter[str]:
        """Operation, and code of each refusal, to how often."""
        return self.service.counts

    @property
    def most_in_flight(self) -> int:
        """Most jobs that ran at once."""
        return self.service.most_in_flight

    @property
    def environ(self) -> dict[str, str]:
        """Variables that lead boto3 to it."""
        return {"AWS_ENDPOINT_URL_TEXTRACT": self.endpoint, "AWS_ENDPOINT_URL_SERVICE_QUOTAS": self.endpoint}

    def advance(self, seconds: float) -> None:
        """Set the service's clock forward: after seven days, tokens, jobs and results are gone.

        :param seconds: by how much.
        """
        self.service.advance(seconds)

    # -- what it does wrong ------------------------------------------------------------------------------------------

    def refuse(self, code: str, operation: str = ".*", **which: Any) -> None:
        """Answer requests with an error.

        :param code: of the error, as in the API reference.
        :param operation: pattern of names of operations.
        :param which: ``keys``, ``probability`` and ``times``, see :class:`Rule`.
        """
        self._add(code, operation, **which)

    def lose_responses(self, operation: str = ".*", **which: Any) -> None:
        """Do what is asked, and hang up instead of answering.

        :param operation: pattern of names of operations.
        :param which: see :meth:`refuse`.
        """
        self._add(_LOST, operation, **which)

    def fail(self, **which: Any) -> None:
        """Let jobs end as FAILED.

        :param which: see :meth:`refuse`.
        """
        self._add(FAILED, "outcome", **which)

    def lose_pages(self, *pages: int, **which: Any) -> None:
        """Let jobs end as PARTIAL_SUCCESS, without these pages.

        :param pages: 1-based.
        :param which: see :meth:`refuse`.
        """
        self._add(PARTIAL, "outcome", pages=pages, **which)

    def heal(self) -> None:
        """Do nothing wrong any more."""
        with self.service.lock:
            self._rules.clear()

    def subscribe(self, topic: str, queue_url: str, *, raw: bool = False) -> None:
        """Put messages for a topic into a queue.

        :param topic: ARN.
        :param queue_url: of the queue.
        :param raw: the message alone, as with raw delivery.
        """
        self._queues[topic] = (queue_url, raw)

    def _add(self, code: str, operation: str, *, keys: str = "", **which: Any) -> None:
        with self.service.lock:
            self._rules.append(Rule(code, re.compile(operation), re.compile(keys), **which))

    def _befalls(self, operation: str, key: str, codes: tuple[str, ...] | None = None) -> Rule | None:
        with self.service.lock:
            for rule in self._rules:
                is_about = rule.operation.fullmatch(operation) and rule.keys.search(key)
                is_kind = codes is None or rule.code in codes
                is_due = rule.times is None or rule.times > 0
                if is_about and is_kind and is_due and self._dice.random() < rule.probability:
                    rule.times = None if rule.times is None else rule.times - 1
                    self.counts[rule.code] += 1
                    return rule
        return None

    # -- what it does ------------------------------------------------------------------------------------------------

    def client(self, service: str) -> Any:
        """Return the client with which the fake itself reaches S3 or SQS.

        :param service: its name in boto3.
        """
        with self.service.lock:
            if service not in self._clients:
                self._clients[service] = self._make[service]()
            return self._clients[service]

    def answer(self, target: str, request: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Answer a request; and tell whether the answer gets lost.

        :param target: ``X-Amz-Target`` of the request.
        :param request: its body.
        :raises Refused: as the service does.
        """
        if target == _QUOTAS:
            return self._quotas(), False
        found = _TARGETS.fullmatch(target)
        if not found:
            raise Refused("UnknownOperationException", f"{target} is not done by this fake")
        verb, api = found.groups()
        operation = f"{verb}{api}"
        self.counts[operation] += 1
        key = self._key(verb, request)
        rule = self._befalls(operation, key)
        if rule and rule.code != _LOST:
            raise Refused(rule.code, status=500 if rule.code in _SERVER_ERRORS else 400)
        try:
            self.service.check_rate(verb, api)
            answer = self._start(api, request) if verb == "Start" else self.service.get(api, request)
        except Refused as refused:
            self.counts[refused.code] += 1
            raise
        return answer, rule is not None

    def _key(self, verb: str, request: dict[str, Any]) -> str:
        if verb == "Start":
            return str(((request.get("DocumentLocation") or {}).get("S3Object") or {}).get("Name", ""))
        job = self.service.jobs.get(request.get("JobId") or "")
        return job.asked.key if job else ""

    def _start(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        job, is_new = self.service.start(api, request, lambda: self._read(request))
        if is_new:
            rules = [self._befalls("outcome", job.asked.key, (code,)) for code in (PARTIAL, FAILED)]
            job.outcomes += [(rule.code, rule.pages) for rule in rules if rule]
            if "OutputConfig" in request:
                write_access_check(self.client("s3"), job)
        return {"JobId": job.job_id}

    def _read(self, request: dict[str, Any]) -> bytes:
        from botocore.exceptions import ClientError

        place = request["DocumentLocation"]["S3Object"]
        version = {"VersionId": place["Version"]} if place.get("Version") else {}
        try:
            found = self.client("s3").get_object(Bucket=place["Bucket"], Key=place["Name"], **version)
            data: bytes = found["Body"].read()
        except ClientError as error:
            raise Refused("InvalidS3ObjectException", "Unable to get object metadata from S3") from error
        return data

    def _quotas(self) -> dict[str, Any]:
        if not self.quotas_allowed:
            raise Refused("AccessDeniedException", "not authorized to perform servicequotas:ListServiceQuotas")
        quotas: list[dict[str, Any]] = []
        for api in ("DocumentAnalysis", "DocumentTextDetection"):
            for verb, tps in self.service.tps.items():
                name = f"Transactions per second per account for {verb}{api} asynchronous operations"
                quotas.append({"QuotaName": name, "Value": tps})
            name = f"Maximum number of asynchronous jobs per account for Start{api} that can simultaneously exist"
            quotas.append({"QuotaName": name, "Value": float(self.service.window)})
        return {"Quotas": quotas}

    def tend(self) -> None:
        """Until stopped: write the output of jobs that end, and send their messages."""
        while not self._stopped.wait(_TICK_SECONDS):
            now = self.service.now()
            for job in self.jobs:
                if not job.has_ended and job.ends_at <= now:
                    # Here and not where it is asked for: a client would wait for an engine, and give up.
                    self.service.answer(job)
                    self._end(job)
                    job.has_ended = True

    def _end(self, job: Job) -> None:
        request = job.asked.request
        channel = request.get("NotificationChannel") or {}
        queue = self._queues.get(channel.get("SNSTopicArn", ""))
        if "OutputConfig" in request:
            write_output(self.client("s3"), job, self.service.answer(job))
        if queue:
            url, raw = queue
            message = message_of(job, self.service.answer(job).status)
            body = message if raw else envelope_of(channel["SNSTopicArn"], message)
            self.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(body))

    def stop(self) -> None:
        """Stop :meth:`tend`."""
        self._stopped.set()
        for client in self._clients.values():
            client.close()


@contextmanager
def fake_textract_server(fake: FakeTextract, port: int = 0) -> Iterator[FakeTextract]:
    """Run a fake Textract on the loopback address; its :attr:`FakeTextract.endpoint` is for clients.

    :param fake: the service.
    :param port: of the address; any free one by default.
    """
    server = _Server(_Handler, port)
    server.fake = fake
    fake.endpoint = server.address
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True),
        threading.Thread(target=fake.tend, daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        fake.stop()
        for thread in threads:
            thread.join()


class _Server(LoopbackServer):
    fake: FakeTextract


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Say nothing: a test's output is no access log."""

    def do_POST(self) -> None:
        """Answer a request of the protocol."""
        assert isinstance(self.server, _Server)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            answer, is_lost = self.server.fake.answer(self.headers.get("X-Amz-Target", ""), json.loads(body or b"{}"))
        except Refused as refused:
            self._send(refused.status, {"__type": refused.code, "message": refused.message})
            return
        if is_lost:
            self.close_connection = True
            return
        self._send(200, answer)

    def _send(self, status: int, values: dict[str, Any]) -> None:
        data = json.dumps(values).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


def _client(service: str) -> Any:
    import boto3

    session: Any = boto3.session.Session()
    return session.client(service)
