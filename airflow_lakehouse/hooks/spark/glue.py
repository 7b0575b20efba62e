"""Run jobs on AWS Glue (https://docs.aws.amazon.com/glue/latest/webapi/API_StartJobRun.html).

Glue has no client token. An attempt that sets out to start a run claims it in S3 first; what was claimed and not noted
is looked for among the job's runs, which carry the token as an argument.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from airflow_lakehouse.exceptions import ConfigurationError, JobCancelledError, JobLostError, LakehouseError
from airflow_lakehouse.hooks.spark.aws import Aws
from airflow_lakehouse.hooks.spark.base import JobHandle, JobState, JobStatus
from airflow_lakehouse.hooks.spark.job_files import JobFiles, S3Folder
from airflow_lakehouse.hooks.spark.log_lines import failure, own_lines
from airflow_lakehouse.spark.engine.session import EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_lakehouse.hooks.spark.job_files import Prepared

SERVICE: Final = "glue"
TOKEN_ARGUMENT: Final = "--lakehouse-token"  # noqa: S105 - no password
"""Argument of a run with what it was started under."""

_STATES: Final = {
    "SUCCEEDED": JobState.SUCCEEDED,
    "STOPPED": JobState.CANCELLED,
    "FAILED": JobState.FAILED,
    "ERROR": JobState.FAILED,
    "TIMEOUT": JobState.FAILED,
    "EXPIRED": JobState.FAILED,
}
_CLAIM_SECONDS: Final = 30.0
"""How long a claim is honoured without a run that follows it: to start one takes a second."""
_LOOK_SECONDS: Final = 1.0
_PAGES: Final = 10
_LOGS: Final = "/aws-glue/jobs"
_LOG_LINES: Final = 1000
_NATIVE: Final = ("pyarrow", "pyiceberg")


@dataclass(frozen=True)
class GlueRunner:
    """Jobs on AWS Glue, as runs of one Glue job.

    Iceberg is Glue's own (``--datalake-formats``), never a package.

    :param scripts: root of the job scripts, ``s3://bucket/prefix``; the Glue job's script is ``run_job.py`` there.
    :param job_name: the Glue job; made by the first run where there is none and ``role_arn`` is given.
    :param role_arn: role of a Glue job that is made: it reads the drop, the scripts and the bundle, writes the
        warehouse, and what is below ``<scripts>/jobs/``.
    :param glue_version: of a Glue job that is made.
    :param aws_conn_id: Airflow's connection to AWS.
    :param region: of the job; empty for the connection's.
    :param worker_type: of the workers of each run.
    :param number_of_workers: of each run.
    :param python_modules: what Glue installs for the job: packages with commas between, or a zip of wheels in S3 where
        PyPI is not reached. By default PyIceberg and pyarrow as they are installed here.
    :param spark_conf: further Spark settings.
    :param arguments: further arguments of the runs, as Glue names them.
    :param timeout_minutes: when Glue stops a run; by default the Glue job's own.
    :param entry_point: script of a Glue job that is made, if it is to be another; given the same arguments.
    :param patience_seconds: how long a call is tried again that meets throttling or a quota.
    :raises ConfigurationError: when a value makes no sense.
    """

    name: ClassVar[str] = "glue"
    scripts: str
    job_name: str = "airflow-lakehouse"
    role_arn: str = ""
    glue_version: str = "6.0"
    aws_conn_id: str = "aws_default"
    region: str = ""
    worker_type: str = "G.1X"
    number_of_workers: int = 2
    python_modules: str = ""
    spark_conf: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    timeout_minutes: int | None = None
    entry_point: str = ""
    patience_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what the service would refuse later, or not at all."""
        if not self.scripts.startswith("s3://"):
            raise ConfigurationError(f"scripts is {self.scripts!r}", legal="s3://bucket/prefix")
        if self.role_arn and not self.role_arn.startswith("arn:"):
            raise ConfigurationError(f"role_arn is {self.role_arn!r}", legal="arn:aws:iam::...")
        strangers = [name for name in self.arguments if not name.startswith("--")]
        if strangers:
            raise ConfigurationError(f"arguments has {strangers[0]!r}", legal="names that begin with --")

    def options(self) -> dict[str, Any]:
        """Return what builds this runner again, as JSON values."""
        return asdict(self)

    def submit(self, job: str, arguments: Mapping[str, Any], token: str) -> JobHandle:
        """Start a run, or return the one that was started under the token.

        :param job: name of the job.
        :param arguments: JSON values for it.
        :param token: 8 to 64 hexadecimal digits.
        :raises EngineError: when the run cannot be started.
        """
        files = self._files(token)
        known = files.recall() or self._claimed(files, job)
        if known:
            return known
        prepared = files.prepare(job, arguments, self.entry_point)
        request = {
            "JobName": self.job_name,
            "Arguments": self._arguments(prepared, token),
            "WorkerType": self.worker_type,
            "NumberOfWorkers": self.number_of_workers,
        }
        if self.timeout_minutes is not None:
            request["Timeout"] = self.timeout_minutes

        def start() -> dict[str, Any]:
            # Where the answer was lost, the run may be there: a second one would run beside it.
            return self._aws.call(SERVICE, "start_job_run", request, done_already=lambda: self._run_of(token))

        try:
            started = start()
        except JobLostError:
            self._make(prepared)
            started = start()
        return files.remember(JobHandle(self.name, started["JobRunId"], job, self.job_name, token=token))

    def find(self, token: str) -> JobHandle | None:
        """Return the run that was started under a token: the one that was noted, else the one that has it; or None.

        :param token: as given to :meth:`submit`.
        """
        files = self._files(token)
        known = files.recall()
        if known:
            return known
        found = self._run_of(token)
        if found is None:
            return None
        return files.remember(JobHandle(self.name, found["JobRunId"], found["job"], self.job_name, token=token))

    def status(self, handle: JobHandle) -> JobStatus:
        """Tell where a run stands; of one that failed, why: by its result, the service's words and the driver's log.

        :param handle: the run.
        :raises JobLostError: when the service does not know it.
        """
        run = self._run(handle)
        word = str(run["JobRunState"])
        state, attempt = _STATES.get(word, JobState.RUNNING), int(run.get("Attempt") or 0) + 1
        if state is JobState.CANCELLED:
            why = str(run.get("ErrorMessage") or "it was stopped")
            return JobStatus(state, why, JobCancelledError.__name__, word, attempt)
        if state is not JobState.FAILED:
            return JobStatus(state, service_state=word, attempt=attempt)
        reason, kind = self._failure(handle, run)
        return JobStatus(state, reason, kind, word, attempt)

    def running(self, handles: Sequence[JobHandle]) -> set[str]:
        """Tell which of many runs have not ended, fifty a call and newest first.

        :param handles: runs of this Glue job.
        :return: ids of those that have not.
        """
        wanted, found = {handle.job_id for handle in handles}, set()
        for run in self._runs():
            job_id = str(run["Id"])
            if job_id in wanted and run["JobRunState"] not in _STATES:
                found.add(job_id)
            wanted.discard(job_id)
            if not wanted:
                break
        return found

    def cancel(self, handle: JobHandle) -> None:
        """Stop a run. One that has ended is left alone.

        :param handle: the run.
        """
        asked = {"JobName": handle.location, "JobRunIds": [handle.job_id]}
        answer = self._aws.call(SERVICE, "batch_stop_job_run", asked)
        # What was refused is in the answer, not raised; the service refuses for a run that has ended.
        if answer.get("Errors") and self.status(handle).is_active:
            self._aws.call(SERVICE, "batch_stop_job_run", asked)

    def follow_logs(self, handle: JobHandle, position: int) -> tuple[list[str], int]:
        """Return this package's own lines of the driver's log since a position.

        :param handle: the run.
        :param position: what the last call gave; milliseconds since 1970.
        """
        events = self._log(handle, position)
        text = "\n".join(event["message"] for event in events)
        return own_lines(text), max([position, *(int(event["timestamp"]) + 1 for event in events)])

    def result(self, handle: JobHandle) -> dict[str, Any]:
        """Return what a job that succeeded reported, and what it is billed.

        :param handle: the run.
        :raises JobError: when it left no result.
        """
        outcome = self._files(handle.token).outcome()
        run = self._run(handle)
        seconds = float(run.get("ExecutionTime") or 0)
        # Told for runs that scale by themselves; of others, each worker counts from beginning to end.
        used = float(run.get("DPUSeconds") or seconds * float(run.get("MaxCapacity") or 0))
        return {**outcome, "resources": {"dpu_hours": round(used / 3600, 6), "execution_seconds": seconds}}

    def links(self, handle: JobHandle) -> dict[str, str]:
        """Return where a run is in the console of Glue.

        :param handle: the run.
        """
        where = f"?region={quote(self.region)}" if self.region else ""
        page = f"job/{quote(handle.location, safe='')}/run/{quote(handle.job_id)}"
        return {"Glue run": f"https://console.aws.amazon.com/gluestudio/home{where}#/{page}"}

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the Glue job, or the right to make it, and the folder of the scripts are there."""
        try:
            S3Folder(self._aws, self.scripts).names("bundles")
            job = self._aws.call(SERVICE, "get_job", {"JobName": self.job_name})["Job"]
        except JobLostError as error:
            if not self.role_arn:
                return False, str(error)
            return True, f"Glue job {self.job_name} is made by the first run; {self.scripts} can be listed"
        except LakehouseError as error:
            return False, str(error)
        release = job.get("GlueVersion", "unknown")
        return True, f"Glue job {self.job_name} (Glue {release}) is there, {self.scripts} can be listed"

    @property
    def _aws(self) -> Aws:
        return Aws(self.aws_conn_id, self.region, self.patience_seconds)

    @property
    def _hurried(self) -> Aws:
        """For logs: whoever waits for a job must not wait for its log."""
        return replace(self._aws, patience_seconds=0)

    def _files(self, token: str) -> JobFiles:
        return JobFiles(S3Folder(self._aws, self.scripts), token)

    def _claimed(self, files: JobFiles, job: str) -> JobHandle | None:
        """Claim the start of a run; return the one another attempt has started meanwhile, if there is one."""
        folder = S3Folder(self._aws, self.scripts)
        claim = json.dumps({"job": job, "at": time.time()}).encode()
        if folder.create(files.name("claim"), claim):
            return None
        claimed_at = json.loads(folder.read(files.name("claim")) or b"{}").get("at", 0.0)
        while True:
            found = self.find(files.token)
            # Whoever claimed it has died before the run was there, or was refused: it is ours to start.
            if found is not None or time.time() > claimed_at + _CLAIM_SECONDS:
                return found
            time.sleep(_LOOK_SECONDS)

    def _arguments(self, prepared: Prepared, token: str) -> dict[str, str]:
        conf = {"spark.sql.extensions": EXTENSIONS, **self.spark_conf}
        return {
            "--extra-py-files": prepared.zip_uri,
            "--datalake-formats": "iceberg",
            "--additional-python-modules": self.python_modules or _installed(),
            # One argument, however many settings: Glue takes each name once.
            "--conf": " --conf ".join(f"{name}={value}" for name, value in conf.items()),
            **self.arguments,
            **{f"--{name}": value for name, value in prepared.arguments.items()},
            TOKEN_ARGUMENT: token,
        }

    def _make(self, prepared: Prepared) -> None:
        """Make the Glue job."""
        if not self.role_arn:
            raise ConfigurationError(
                f"there is no Glue job {self.job_name!r}", remedy="make one, or set role_arn in runner_options"
            )
        made = {
            "Name": self.job_name,
            "Role": self.role_arn,
            "GlueVersion": self.glue_version,
            "WorkerType": self.worker_type,
            "NumberOfWorkers": self.number_of_workers,
            "Command": {"Name": "glueetl", "PythonVersion": "3", "ScriptLocation": prepared.script_uri},
            # One, by default: the second task of a DAG would be refused.
            "ExecutionProperty": {"MaxConcurrentRuns": 50},
        }
        self._aws.call(SERVICE, "create_job", made)

    def _run(self, handle: JobHandle) -> dict[str, Any]:
        asked = {"JobName": handle.location, "RunId": handle.job_id}
        return dict(self._aws.call(SERVICE, "get_job_run", asked)["JobRun"])

    def _runs(self) -> Iterator[dict[str, Any]]:
        asked: dict[str, Any] = {"JobName": self.job_name, "MaxResults": 200}
        for _ in range(_PAGES):
            page = self._aws.call(SERVICE, "get_job_runs", asked)
            yield from page["JobRuns"]
            if not page.get("NextToken"):
                return
            asked["NextToken"] = page["NextToken"]

    def _run_of(self, token: str) -> dict[str, Any] | None:
        """Return the run that was started under a token, as StartJobRun would have, and its ``job``; or None."""
        try:
            for run in self._runs():
                given = run.get("Arguments") or {}
                if given.get(TOKEN_ARGUMENT) == token:
                    return {"JobRunId": run["Id"], "job": given.get("--job", "")}
        except JobLostError:
            # There is no such Glue job, and so no run of it.
            return None
        return None

    def _failure(self, handle: JobHandle, run: dict[str, Any]) -> tuple[str, str]:
        try:
            result = self._files(handle.token).result() or {}
        except LakehouseError:
            result = {}
        if result.get("status") == "failed":
            return str(result.get("error", "")), str(result.get("error_type", ""))
        details = str(run.get("ErrorMessage") or run.get("StateDetail") or "")
        reason, kind = failure(details, "\n".join(event["message"] for event in self._log(handle, 0, is_end=True)))
        return reason, JobLostError.__name__ if run["JobRunState"] == "ERROR" else kind

    def _log(self, handle: JobHandle, since: int, *, is_end: bool = False) -> list[dict[str, Any]]:
        """Return lines the driver has written since a moment, the oldest first: the first of them, or the last."""
        asked: dict[str, Any] = {"logStreamName": handle.job_id, "startFromHead": not is_end, "limit": _LOG_LINES}
        events: list[dict[str, Any]] = []
        # Which of the two has the lines of a Python program is the release's business.
        for stream in ("error", "output"):
            request = {**asked, "logGroupName": f"{_LOGS}/{stream}", "startTime": since}
            with suppress(LakehouseError):
                events += self._hurried.call("logs", "get_log_events", request)["events"]
        return sorted(events, key=lambda event: int(event["timestamp"]))


def _installed() -> str:
    """Return the native packages a job needs, as they are installed here."""
    found = []
    for name in _NATIVE:
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            found.append(name)
    return ",".join(found)
