"""An EMR Serverless that runs its jobs on this machine: client tokens, states, capacity, logs in S3, sessions, faults.

It speaks the service's HTTP (rest-json) on the loopback address; the real boto3 client is the other end::

    def test_it(fake_emr_serverless):
        fake_emr_serverless.throttle(5, "GetJobRun")
        client = boto3.client("emr-serverless", endpoint_url=fake_emr_serverless.endpoint)
        client.start_job_run(applicationId=fake_emr_serverless.application_id, ...)

After https://docs.aws.amazon.com/emr-serverless/latest/APIReference/. Where the logs are follows
https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/logging.html.
"""

from __future__ import annotations

import gzip
import json
import re
import shlex
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from airflow_lakehouse.testing import fake_service
from airflow_lakehouse.testing.fake_service import FakeRun, FakeService, ServiceError, States
from airflow_lakehouse.testing.fake_sessions import FakeSessions
from airflow_lakehouse.testing.job_process import JobProcess, Submission, s3_client, spark_submit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_lakehouse.testing.job_process import Local

ICEBERG_JAR: Final = "/usr/share/aws/iceberg/lib/iceberg-spark3-runtime.jar"
"""Iceberg as the image of an application has it."""
RELEASE: Final = "emr-spark-8.1.0"

_STATES: Final = States(
    ("SUBMITTED", "PENDING", "SCHEDULED"), "RUNNING", "CANCELLING", "CANCELLED", "SUCCESS", "FAILED"
)
_APPLICATION: Final = r"/applications/(?P<applicationId>[^/]+)"
_RUN: Final = rf"{_APPLICATION}/jobruns/(?P<jobRunId>[^/]+)"
_SESSION: Final = rf"{_APPLICATION}/sessions/(?P<sessionId>[^/]+)"
_ROUTES: Final = (
    ("GET", rf"{_RUN}", "GetJobRun"),
    ("DELETE", rf"{_RUN}", "CancelJobRun"),
    ("GET", rf"{_RUN}/dashboard", "GetDashboardForJobRun"),
    ("POST", rf"{_APPLICATION}/jobruns", "StartJobRun"),
    ("GET", rf"{_APPLICATION}/jobruns", "ListJobRuns"),
    ("GET", _APPLICATION, "GetApplication"),
    ("POST", rf"{_APPLICATION}/start", "StartApplication"),
    ("GET", r"/tags/(?P<resourceArn>.+)", "ListTagsForResource"),
    ("POST", rf"{_APPLICATION}/sessions", "StartSession"),
    ("GET", rf"{_APPLICATION}/sessions", "ListSessions"),
    ("GET", rf"{_SESSION}", "GetSession"),
    ("DELETE", rf"{_SESSION}", "TerminateSession"),
    ("GET", rf"{_SESSION}/endpoint", "GetSessionEndpoint"),
)
_ENVIRON: Final = "spark.emr-serverless.driverEnv."
_PAGE: Final = 50
_CPUS: Final = 4


@dataclass
class _Kept:
    """A run the service knows."""

    run: FakeRun
    request: dict[str, Any]
    details: str = ""


class FakeEmrServerless(FakeService):
    """The service, with one application.

    :param s3_endpoint: see :class:`FakeService`.
    :param folder: see :class:`FakeService`.
    :param launcher: see :class:`FakeService`.
    :param seconds: see :class:`FakeService`.
    """

    def __init__(
        self,
        s3_endpoint: str,
        folder: Path,
        launcher: Callable[[Local], list[str]] = spark_submit,
        seconds: float = 0.05,
    ) -> None:
        super().__init__(s3_endpoint, folder, launcher, seconds)
        self.application_id = "00fakeapplication"
        self.capacity: int | None = None
        """How many runs fit into the application's maximumCapacity; None for any number. A run beyond it fails."""
        self.runs: dict[str, _Kept] = {}
        self.sessions = FakeSessions(self.application_id, engine_channel, seconds)
        """Sessions of Spark Connect, before this machine's engine."""
        self._tokens: dict[str, tuple[str, str]] = {}

    def vanish(self, run_id: str) -> None:
        """End a run and forget it: from now on, nobody can ask after it.

        :param run_id: the run.
        """
        self.runs.pop(run_id).run.join()

    def lose_driver(self, run_id: str) -> None:
        """Take away the host a run's driver is on.

        :param run_id: the run.
        """
        self.runs[run_id].run.kill()

    def forget(self) -> None:
        """As :meth:`FakeService.forget`."""
        self.runs.clear()
        self._tokens.clear()
        self.capacity = None
        self.sessions = FakeSessions(self.application_id, engine_channel, self.seconds)

    def forget_tokens(self) -> None:
        """Forget the client tokens, as the service does after a while."""
        with self.lock:
            self._tokens.clear()

    def operation(self, method: str, path: str, headers: Any) -> tuple[str, dict[str, Any]]:  # noqa: ARG002 - the base's
        """As :meth:`FakeService.operation`."""
        asked = urlsplit(path)
        for verb, route, operation in _ROUTES:
            found = re.fullmatch(route, unquote(asked.path))
            if found and verb == method:
                return operation, {
                    **{name: value[0] for name, value in parse_qs(asked.query).items()},
                    **found.groupdict(),
                }
        raise ServiceError("UnknownOperationException", path, 404)

    def answer(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """As :meth:`FakeService.answer`."""
        if arguments.get("applicationId", self.application_id) != self.application_id:
            raise ServiceError("ResourceNotFoundException", f"Application {arguments['applicationId']} not found", 404)
        does: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "StartJobRun": self._start,
            "GetJobRun": lambda given: {"jobRun": self._described(given["jobRunId"])},
            "CancelJobRun": self._cancel,
            "ListJobRuns": self._list,
            "GetApplication": lambda _: {"application": self._application()},
            "StartApplication": lambda _: {},
            "ListTagsForResource": lambda given: {
                "tags": self._known(given["resourceArn"].rpartition("/")[2]).request["tags"]
            },
            "GetDashboardForJobRun": lambda given: {"url": f"{self.endpoint}/dashboard/{given['jobRunId']}"},
        }
        with self.lock:
            if operation not in does:
                return self.sessions.answer(operation, arguments)
            return does[operation](arguments)

    def close(self) -> None:
        """As :meth:`FakeService.close`."""
        for kept in list(self.runs.values()):
            kept.run.join()
        self.sessions.close()

    def _start(self, given: dict[str, Any]) -> dict[str, Any]:
        token = given["clientToken"]
        same = json.dumps({name: value for name, value in given.items() if name != "clientToken"}, sort_keys=True)
        if token in self._tokens:
            run_id, before = self._tokens[token]
            if before != same:
                raise ServiceError("ConflictException", "The client token was used with other parameters", 409)
            return self._started(run_id)
        if "sparkSubmit" not in given.get("jobDriver", {}):
            raise ServiceError("ValidationException", "jobDriver must be sparkSubmit")
        run_id = uuid.uuid4().hex[:16]
        running = sum(kept.run.is_active for kept in self.runs.values())
        policy = given.get("retryPolicy") or {}
        run = FakeRun(
            _STATES,
            lambda attempt: self._process(run_id, given, attempt),
            self.seconds,
            lambda attempt, stream, log: self._write_log(
                run_id, given, f"{_again(attempt)}SPARK_DRIVER/{stream}.gz", log
            ),
            int(policy.get("maxAttempts", 1)),
        )
        self.runs[run_id] = _Kept(run, {"tags": {}, **given, "createdAt": time.time()})
        self._tokens[token] = (run_id, same)
        if self.capacity is not None and running >= self.capacity:
            run.fail()
            self.runs[run_id].details = (
                "Job execution failed: Worker could not be allocated as the application has exceeded maximumCapacity"
                f" settings: [cpu: {_CPUS * self.capacity} vCPU]"
            )
        else:
            run.start()
        return self._started(run_id)

    def _started(self, run_id: str) -> dict[str, Any]:
        return {"applicationId": self.application_id, "jobRunId": run_id, "arn": self._arn(run_id)}

    def _arn(self, run_id: str) -> str:
        return f"arn:aws:emr-serverless:us-east-1:000000000000:/applications/{self.application_id}/jobruns/{run_id}"

    def _known(self, run_id: str) -> _Kept:
        if run_id not in self.runs:
            raise ServiceError("ResourceNotFoundException", f"Job run {run_id} not found", 404)
        return self.runs[run_id]

    def _cancel(self, given: dict[str, Any]) -> dict[str, Any]:
        kept = self._known(given["jobRunId"])
        if not kept.run.is_active:
            raise ServiceError("ValidationException", f"Job run {given['jobRunId']} is in state {kept.run.state}")
        kept.run.stop()
        return {"applicationId": self.application_id, "jobRunId": given["jobRunId"]}

    def _list(self, given: dict[str, Any]) -> dict[str, Any]:
        newest = sorted(self.runs, key=lambda run_id: -self.runs[run_id].request["createdAt"])
        rows = [{**self._described(run_id), "id": run_id} for run_id in newest]
        return fake_service.page(
            rows, given, min(int(given.get("maxResults") or _PAGE), _PAGE), ("jobRuns", "nextToken")
        )

    def _described(self, run_id: str) -> dict[str, Any]:
        kept = self._known(run_id)
        hours, request = kept.run.run_seconds / 3600, kept.request
        used = {"vCPUHour": round(_CPUS * hours, 3), "memoryGBHour": round(16 * hours, 3), "storageGBHour": 0.0}
        details = kept.details
        if kept.run.state == _STATES.failed and not details:
            details = (
                "Job execution failed, please check complete logs in configured logging destination."
                f" ExitCode: {kept.run.exit_code}. Last few exceptions: {kept.run.last_error}"
            )
        return {
            "applicationId": self.application_id,
            "jobRunId": run_id,
            "name": request.get("name", ""),
            "arn": self._arn(run_id),
            "createdBy": "arn:aws:iam::000000000000:user/test",
            "createdAt": request["createdAt"],
            "updatedAt": time.time(),
            "executionRole": request["executionRoleArn"],
            "state": kept.run.state,
            "stateDetails": details,
            "releaseLabel": RELEASE,
            "jobDriver": request["jobDriver"],
            "configurationOverrides": request.get("configurationOverrides", {}),
            "tags": request["tags"],
            "attempt": kept.run.attempt,
            **({} if kept.run.is_active else {"billedResourceUtilization": used, "totalResourceUtilization": used}),
        }

    def _application(self) -> dict[str, Any]:
        return {
            "applicationId": self.application_id,
            "arn": self._arn("").removesuffix("/jobruns/"),
            "releaseLabel": RELEASE,
            "type": "Spark",
            "state": "STARTED",
            "createdAt": 0,
            "updatedAt": 0,
            "autoStartConfiguration": {"enabled": True},
        }

    def _process(self, run_id: str, request: dict[str, Any], attempt: int) -> JobProcess:
        submission = submission_of(request["jobDriver"]["sparkSubmit"])
        return JobProcess(submission, self.s3_endpoint, self.launcher, self.folder / f"{run_id}-{attempt}")

    def _write_log(self, run_id: str, request: dict[str, Any], name: str, log: bytes) -> None:
        monitoring = request.get("configurationOverrides", {}).get("monitoringConfiguration", {})
        root = monitoring.get("s3MonitoringConfiguration", {}).get("logUri", "")
        if root:
            bucket, _, prefix = root.removeprefix("s3://").rstrip("/").partition("/")
            key = f"{prefix}/applications/{self.application_id}/jobs/{run_id}/{name}"
            s3_client(self.s3_endpoint).put_object(Bucket=bucket, Key=key.lstrip("/"), Body=gzip.compress(log))


def _again(attempt: int) -> str:
    """Return the folder of an attempt's logs, below that of its run."""
    return f"attempts/{attempt}/" if attempt > 1 else ""


def submission_of(driver: dict[str, Any]) -> Submission:
    """Return what a job driver asks for.

    :param driver: ``sparkSubmit`` of the request.
    :raises ServiceError: when its parameters are not spark-submit's.
    """
    words = iter(shlex.split(driver.get("sparkSubmitParameters", "")))
    zips: tuple[str, ...] = ()
    conf: dict[str, str] = {}
    for word in words:
        if word == "--py-files":
            zips = tuple(next(words).split(","))
        elif word == "--conf":
            name, _, value = next(words).partition("=")
            conf[name] = value
        else:
            raise ServiceError("ValidationException", f"Unknown spark-submit parameter {word}")
    has_iceberg = ICEBERG_JAR in conf.pop("spark.jars", "").split(",")
    on_this_machine = {name: value for name, value in conf.items() if not re.match(r"spark[.](emr-|archives)", name)}
    # A Python environment that was packed for the service is not unpacked here.
    given = {name.removeprefix(_ENVIRON): value for name, value in conf.items() if name.startswith(_ENVIRON)}
    environ = {name: value for name, value in given.items() if not name.startswith("PYSPARK_")}
    words_of = tuple(driver.get("entryPointArguments", ()))
    return Submission(driver["entryPoint"], words_of, zips, on_this_machine, has_iceberg, environ)


@contextmanager
def engine_channel() -> Iterator[Any]:
    """Open a channel to this machine's Spark Connect server, which is started where none runs."""
    from pyspark.sql.connect.client import DefaultChannelBuilder

    from airflow_lakehouse.spark.engine.connect_server import hold_server

    with hold_server() as server:
        channel = DefaultChannelBuilder(server.remote).toChannel()
        try:
            yield channel
        finally:
            channel.close()


@contextmanager
def fake_emr_serverless(
    s3_endpoint: str, folder: Path, launcher: Callable[[Local], list[str]] = spark_submit, seconds: float = 0.05
) -> Iterator[FakeEmrServerless]:
    """Run the service.

    :param s3_endpoint: address of the S3 that holds scripts and takes logs.
    :param folder: folder for the files of its jobs.
    :param launcher: what starts a job.
    :param seconds: how long a run stays in each state before it is running.
    """
    service = FakeEmrServerless(s3_endpoint, folder, launcher, seconds)
    server = fake_service.serve(service)
    try:
        yield service
    finally:
        fake_service.end(server)
