"""Glue jobs that run on this machine: states, concurrent runs, arguments as scripts get them, CloudWatch logs, faults.

It speaks the service's HTTP (JSON 1.1) on the loopback address, and that of CloudWatch Logs for the runs' logs; the
real boto3 client is the other end. Only jobs are here: the catalog is ministack's
(:mod:`airflow_lakehouse.testing.s3_server`).

After https://docs.aws.amazon.com/glue/latest/webapi/API_StartJobRun.html and
https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html. As there, nothing keeps a
caller from starting the same run twice.
"""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.testing import fake_service
from airflow_lakehouse.testing.fake_service import FakeRun, FakeService, ServiceError, States
from airflow_lakehouse.testing.job_process import JobProcess, Submission, spark_submit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_lakehouse.testing.job_process import Local

_STATES: Final = States(("STARTING",), "RUNNING", "STOPPING", "STOPPED", "SUCCEEDED", "FAILED")
_OWN: Final = ("--extra-py-files", "--datalake-formats", "--conf", "--additional-python-modules", "--job-language")
"""Arguments that are Glue's; scripts are given them with the rest."""
_GROUP: Final = "/aws-glue/jobs"
_STREAMS: Final = {"stdout": "output", "stderr": "error"}
_PAGE: Final = 200


class FakeGlueJobs(FakeService):
    """The service.

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
        self.jobs: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, tuple[FakeRun, dict[str, Any]]] = {}
        """Id to the run and what it was started with."""
        self._events: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def vanish(self, run_id: str) -> None:
        """End a run and forget it: from now on, nobody can ask after it.

        :param run_id: the run.
        """
        self.runs.pop(run_id)[0].join()

    def forget(self) -> None:
        """As :meth:`FakeService.forget`."""
        self.jobs.clear()
        self.runs.clear()
        self._events.clear()

    def lose_driver(self, run_id: str) -> None:
        """Take away the host a run's driver is on.

        :param run_id: the run.
        """
        self.runs[run_id][0].kill()

    def operation(self, method: str, path: str, headers: Any) -> tuple[str, dict[str, Any]]:  # noqa: ARG002 - the base's
        """As :meth:`FakeService.operation`."""
        return str(headers.get("X-Amz-Target", "")).rpartition(".")[2], {}

    def answer(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """As :meth:`FakeService.answer`."""
        does: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateJob": self._create,
            "UpdateJob": lambda given: self._create({"Name": given["JobName"], **given["JobUpdate"]}),
            "GetJob": lambda given: {"Job": self._job(given["JobName"])},
            "StartJobRun": self._start,
            "GetJobRun": lambda given: {"JobRun": self._described(given["RunId"])},
            "GetJobRuns": self._list,
            "BatchStopJobRun": self._stop,
            "GetLogEvents": self._log,
        }
        if operation not in does:
            raise ServiceError("InvalidInputException", f"{operation} is not served here")
        with self.lock:
            return does[operation](arguments)

    def close(self) -> None:
        """As :meth:`FakeService.close`."""
        for run, _ in list(self.runs.values()):
            run.join()

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        self.jobs[given["Name"]] = given
        return {"Name": given["Name"], "JobName": given["Name"]}

    def _job(self, name: str) -> dict[str, Any]:
        if name not in self.jobs:
            raise ServiceError("EntityNotFoundException", f"Job {name} not found")
        return self.jobs[name]

    def _start(self, given: dict[str, Any]) -> dict[str, Any]:
        job = self._job(given["JobName"])
        most = job.get("ExecutionProperty", {}).get("MaxConcurrentRuns", 1)
        running = sum(run.is_active for run, one in self.runs.values() if one["JobName"] == given["JobName"])
        if running >= most:
            raise ServiceError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {given['JobName']}")
        run_id = f"jr_{uuid.uuid4().hex}"
        arguments = {**job.get("DefaultArguments", {}), **given.get("Arguments", {})}
        run = FakeRun(
            _STATES,
            lambda _: self._process(run_id, given["JobName"], job["Command"]["ScriptLocation"], arguments),
            self.seconds,
            lambda _, stream, log: self._keep_log(run_id, _STREAMS[stream], log),
        )
        self.runs[run_id] = (run, {**given, "Arguments": arguments, "StartedOn": time.time()})
        run.start()
        return {"JobRunId": run_id}

    def _known(self, run_id: str) -> tuple[FakeRun, dict[str, Any]]:
        if run_id not in self.runs:
            raise ServiceError("EntityNotFoundException", f"Job run {run_id} not found")
        return self.runs[run_id]

    def _list(self, given: dict[str, Any]) -> dict[str, Any]:
        self._job(given["JobName"])
        rows = [self._described(run_id) for run_id in reversed(self.runs)]
        rows = [row for row in rows if row["JobName"] == given["JobName"]]
        return fake_service.page(
            rows, given, min(int(given.get("MaxResults") or _PAGE), _PAGE), ("JobRuns", "NextToken")
        )

    def _stop(self, given: dict[str, Any]) -> dict[str, Any]:
        stopped, refused = [], []
        for run_id in given["JobRunIds"]:
            named = {"JobName": given["JobName"], "JobRunId": run_id}
            if run_id in self.runs and self.runs[run_id][0].is_active:
                self.runs[run_id][0].stop()
                stopped.append(named)
            else:
                refused.append({**named, "ErrorDetail": {"ErrorCode": "JobRunNotInTerminalStateException"}})
        return {"SuccessfulSubmissions": stopped, "Errors": refused}

    def _described(self, run_id: str) -> dict[str, Any]:
        run, request = self._known(run_id)
        seconds = int(run.run_seconds) or int(bool(run.ended))
        failed = {"ErrorMessage": run.last_error or f"Command failed with exit code {run.exit_code}"}
        return {
            "Id": run_id,
            "JobName": request["JobName"],
            "JobRunState": run.state,
            "Arguments": request["Arguments"],
            "Attempt": 0,
            "StartedOn": request["StartedOn"],
            "ExecutionTime": seconds,
            "MaxCapacity": float(request.get("NumberOfWorkers", 2)),
            "LogGroupName": _GROUP,
            **(failed if run.state == _STATES.failed else {}),
        }

    def _process(self, run_id: str, job: str, script: str, arguments: dict[str, str]) -> JobProcess:
        given = {"--JOB_ID": "j_0", "--JOB_RUN_ID": run_id, "--JOB_NAME": job, **arguments}
        words = [word for name, value in given.items() if name not in _OWN for word in (name, value)]
        settings = arguments.get("--conf", "").split(" --conf ")
        conf = dict(setting.partition("=")[::2] for setting in settings if setting)
        zips = tuple(filter(None, arguments.get("--extra-py-files", "").split(",")))
        has_iceberg = "iceberg" in arguments.get("--datalake-formats", "").split(",")
        submission = Submission(script, tuple(words), zips, conf, has_iceberg)
        return JobProcess(submission, self.s3_endpoint, self.launcher, self.folder / run_id)

    def _keep_log(self, run_id: str, stream: str, log: bytes) -> None:
        lines = log.decode("utf-8", "replace").split("\n")[:-1]
        with self.lock:
            kept = self._events.setdefault((f"{_GROUP}/{stream}", run_id), [])
            # No two in one millisecond, so that a reader may go by the time.
            first = max(int(time.time() * 1000), kept[-1]["timestamp"] + 1 if kept else 0)
            new = lines[len(kept) :]
            kept += [{"timestamp": first + number, "message": line} for number, line in enumerate(new)]

    def _log(self, given: dict[str, Any]) -> dict[str, Any]:
        named = (given["logGroupName"], given["logStreamName"])
        if named not in self._events:
            raise ServiceError("ResourceNotFoundException", "The specified log stream does not exist.")
        events = [event for event in self._events[named] if event["timestamp"] >= given.get("startTime", 0)]
        limit = given.get("limit", 10000)
        # The end is what the service gives to who does not ask for the head.
        events = events[:limit] if given.get("startFromHead") else events[-limit:]
        return {"events": events, "nextForwardToken": "f/0", "nextBackwardToken": "b/0"}


@contextmanager
def fake_glue_jobs(
    s3_endpoint: str, folder: Path, launcher: Callable[[Local], list[str]] = spark_submit, seconds: float = 0.05
) -> Iterator[FakeGlueJobs]:
    """Run the service.

    :param s3_endpoint: address of the S3 that holds scripts.
    :param folder: folder for the files of its jobs.
    :param launcher: what starts a job.
    :param seconds: how long a run stays in each state before it is running.
    """
    service = FakeGlueJobs(s3_endpoint, folder, launcher, seconds)
    server = fake_service.serve(service)
    try:
        yield service
    finally:
        fake_service.end(server)
