"""Run jobs on an application of EMR Serverless (https://docs.aws.amazon.com/emr-serverless/latest/APIReference/).

Starting is idempotent by the service's client token. Where a token is forgotten, the run is found by its name.
"""

from __future__ import annotations

import shlex
import zlib
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from airflow_lakehouse.exceptions import ConfigurationError, EngineError, JobCancelledError, LakehouseError
from airflow_lakehouse.hooks.spark.aws import Aws, code_of
from airflow_lakehouse.hooks.spark.base import JobHandle, JobState, JobStatus
from airflow_lakehouse.hooks.spark.job_files import JobFiles, S3Folder
from airflow_lakehouse.hooks.spark.log_lines import failure, own_lines
from airflow_lakehouse.spark.engine.session import EXTENSIONS
from airflow_lakehouse.spark.storage.aws_retries import ATTEMPTS, ATTEMPTS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SERVICE: Final = "emr-serverless"
TOKEN_TAG: Final = "lakehouse-token"  # noqa: S105 - no password
"""Tag of a run with what it was started under."""

_STATES: Final = {"SUCCESS": JobState.SUCCEEDED, "FAILED": JobState.FAILED, "CANCELLED": JobState.CANCELLED}
_RESOURCES: Final = {"vCPUHour": "vcpu_hours", "memoryGBHour": "memory_gb_hours", "storageGBHour": "storage_gb_hours"}
_CONFLICT: Final = "ConflictException"
_KEPT: Final = timedelta(days=30)
_PAGES: Final = 20
_ATTEMPT: Final = 1 << 40
"""A position in the log is the attempt times this, and bytes: a second attempt's log begins anew."""


@dataclass(frozen=True)
class EmrServerlessRunner:
    """Jobs on EMR Serverless.

    Iceberg is the application's own, never a package: another build than the release's does not fit its Spark.

    :param application_id: the application; one with auto-start.
    :param execution_role_arn: role of the job: it reads the drop, the scripts and the bundle, writes the warehouse, and
        what is below ``<scripts>/jobs/`` and ``log_uri``.
    :param scripts: root of the job scripts, ``s3://bucket/prefix``.
    :param aws_conn_id: Airflow's connection to AWS.
    :param region: of the application; empty for the connection's.
    :param log_uri: where the service writes logs; ``<scripts>/logs`` when empty.
    :param python_archive: ``s3://...`` of a Python environment with PyIceberg and pyarrow, made by venv-pack for the
        application's architecture. Without one the image must have them, and Python 3.11 or newer.
    :param iceberg_jar: of the release, as it lies in the application's image.
    :param spark_conf: further Spark settings, such as the driver's memory.
    :param tags: further tags of the runs.
    :param execution_timeout_minutes: when the service stops a run; its own default is 12 hours, 0 is never.
    :param max_attempts: how often the service itself starts a run; 1 leaves retries to Airflow.
    :param entry_point: URI of another script than this package's own, given the same arguments.
    :param patience_seconds: how long a call is tried again that meets throttling or a quota.
    :raises ConfigurationError: when a value makes no sense.
    """

    name: ClassVar[str] = "emr_serverless"
    application_id: str
    execution_role_arn: str
    scripts: str
    aws_conn_id: str = "aws_default"
    region: str = ""
    log_uri: str = ""
    python_archive: str = ""
    iceberg_jar: str = "/usr/share/aws/iceberg/lib/iceberg-spark3-runtime.jar"
    spark_conf: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    execution_timeout_minutes: int | None = None
    max_attempts: int = 1
    entry_point: str = ""
    patience_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what the service would refuse later, or not at all."""
        if not self.application_id:
            raise ConfigurationError("no application_id", remedy="set it in runner_options")
        if not self.execution_role_arn.startswith("arn:"):
            raise ConfigurationError(f"execution_role_arn is {self.execution_role_arn!r}", legal="arn:aws:iam::...")
        for name in ("scripts", "log_uri", "python_archive"):
            given = getattr(self, name)
            if not given.startswith("s3://") and (given or name == "scripts"):
                raise ConfigurationError(f"{name} is {given!r}", legal="s3://bucket/prefix")

    def options(self) -> dict[str, Any]:
        """Return what builds this runner again, as JSON values."""
        return asdict(self)

    def submit(self, job: str, arguments: Mapping[str, Any], token: str) -> JobHandle:
        """Start a run, or return the one that was started under the token.

        :param job: name of the job.
        :param arguments: JSON values for it.
        :param token: 8 to 64 hexadecimal digits; the service's client token.
        :raises EngineError: when the run cannot be started.
        """
        files = self._files(token)
        known = files.recall()
        if known:
            return known
        request = self._request(files, job, arguments)
        try:
            started = self._aws.call(SERVICE, "start_job_run", request)
        except EngineError as error:
            # The same token and other parameters: a release came in between, and the run is that of the old bundle.
            found = self.find(token) if code_of(error) == _CONFLICT else None
            if found is None:
                raise
            return found
        handle = JobHandle(self.name, started["jobRunId"], job, self.application_id, token=token)
        return files.remember(handle)

    def find(self, token: str) -> JobHandle | None:
        """Return the run that was started under a token: the one that was noted, else the one of that name; or None.

        :param token: as given to :meth:`submit`.
        """
        files = self._files(token)
        known = files.recall()
        if known:
            return known
        for run in self._runs():
            job, _, of_token = str(run.get("name", "")).partition("-")
            if of_token == token:
                return files.remember(JobHandle(self.name, run["id"], job, self.application_id, token=token))
        return None

    def status(self, handle: JobHandle) -> JobStatus:
        """Tell where a run stands; of one that failed, why: by its result, the service's words and the driver's log.

        :param handle: the run.
        :raises JobLostError: when the service does not know it.
        """
        run = self._run(handle)
        state, word = _STATES.get(run["state"], JobState.RUNNING), str(run["state"])
        attempt = int(run.get("attempt") or 1)
        if state is JobState.CANCELLED:
            why = str(run.get("stateDetails") or "it was stopped")
            return JobStatus(state, why, JobCancelledError.__name__, word, attempt)
        if state is not JobState.FAILED:
            return JobStatus(state, service_state=word, attempt=attempt)
        reason, kind = self._failure(handle, str(run.get("stateDetails", "")), attempt)
        return JobStatus(state, reason, kind, word, attempt)

    def running(self, handles: Sequence[JobHandle]) -> set[str]:
        """Tell which of many runs have not ended, fifty a call and newest first.

        :param handles: runs of this application.
        :return: ids of those that have not.
        """
        wanted, found = {handle.job_id for handle in handles}, set()
        for run in self._runs():
            job_id = str(run["id"])
            if job_id in wanted and run["state"] not in _STATES:
                found.add(job_id)
            wanted.discard(job_id)
            if not wanted:
                break
        return found

    def cancel(self, handle: JobHandle) -> None:
        """Stop a run. One that has ended is left alone.

        :param handle: the run.
        """
        try:
            self._aws.call(SERVICE, "cancel_job_run", _ids(handle))
        except LakehouseError:
            # The service refuses for a run that has ended.
            if self.status(handle).is_active:
                raise

    def follow_logs(self, handle: JobHandle, position: int) -> tuple[list[str], int]:
        """Return this package's own lines of the driver's log since a position.

        The service writes the log to S3 every minute or so; of a run that it starts again, the last attempt's follows.

        :param handle: the run.
        :param position: what the last call gave.
        """
        attempt, read = max(position // _ATTEMPT, 1), position % _ATTEMPT
        if self.max_attempts > attempt and self._log(handle, attempt + 1):
            attempt, read = attempt + 1, 0
        text = self._log(handle, attempt)[read:]
        whole = text[: text.rfind(b"\n") + 1]
        return own_lines(whole.decode("utf-8", "replace")), attempt * _ATTEMPT + read + len(whole)

    def result(self, handle: JobHandle) -> dict[str, Any]:
        """Return what a job that succeeded reported, and what it is billed.

        :param handle: the run.
        :raises JobError: when it left no result.
        """
        outcome = self._files(handle.token).outcome()
        run = self._run(handle)
        billed = run.get("billedResourceUtilization") or run.get("totalResourceUtilization") or {}
        return {
            **outcome,
            "resources": {_RESOURCES[name]: value for name, value in billed.items() if name in _RESOURCES},
        }

    def links(self, handle: JobHandle) -> dict[str, str]:
        """Return where the logs of a run are, in the console of S3.

        :param handle: the run.
        """
        bucket, _, prefix = self._log_root(handle).removeprefix("s3://").partition("/")
        where = f"region={quote(self.region)}&" if self.region else ""
        return {"Logs": f"https://console.aws.amazon.com/s3/buckets/{bucket}?{where}prefix={quote(prefix)}/"}

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the application and the folder of the scripts answer."""
        try:
            asked = {"applicationId": self.application_id}
            application = self._aws.call(SERVICE, "get_application", asked)["application"]
            S3Folder(self._aws, self.scripts).names("bundles")
        except LakehouseError as error:
            return False, str(error)
        release, state = application["releaseLabel"], application["state"]
        if application.get("type", "Spark").lower() != "spark":
            return False, f"application {self.application_id} runs {application['type']}, not Spark"
        return True, f"application {self.application_id} ({release}) is {state}, {self.scripts} can be listed"

    @property
    def _aws(self) -> Aws:
        return Aws(self.aws_conn_id, self.region, self.patience_seconds)

    @property
    def _hurried(self) -> Aws:
        """For logs: whoever waits for a job must not wait for its log."""
        return replace(self._aws, patience_seconds=0)

    def _files(self, token: str) -> JobFiles:
        return JobFiles(S3Folder(self._aws, self.scripts), token)

    def _request(self, files: JobFiles, job: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        prepared = files.prepare(job, arguments, self.entry_point)
        words = ["--py-files", prepared.zip_uri]
        words += [word for name, value in self._conf().items() for word in ("--conf", f"{name}={value}")]
        driver = {
            "entryPoint": prepared.script_uri,
            "entryPointArguments": prepared.command_line,
            "sparkSubmitParameters": shlex.join(words),
        }
        logs = {"s3MonitoringConfiguration": {"logUri": self._logs}}
        request: dict[str, Any] = {
            "applicationId": self.application_id,
            "clientToken": files.token,
            "executionRoleArn": self.execution_role_arn,
            "name": f"{job}-{files.token}",
            "jobDriver": {"sparkSubmit": driver},
            "configurationOverrides": {"monitoringConfiguration": logs},
            "tags": {**self.tags, TOKEN_TAG: files.token},
        }
        if self.execution_timeout_minutes is not None:
            request["executionTimeoutMinutes"] = self.execution_timeout_minutes
        if self.max_attempts > 1:
            request["retryPolicy"] = {"maxAttempts": self.max_attempts}
        return request

    def _conf(self) -> dict[str, str]:
        """Return the Spark settings of a run; as the service's guide has them for Iceberg and for Python libraries."""
        conf = {"spark.jars": self.iceberg_jar, "spark.sql.extensions": EXTENSIONS}
        # Not what the worker's own environment says: every attempt at a start must ask for the same.
        tries = (ATTEMPTS_VARIABLE, str(ATTEMPTS))
        conf |= {f"{where}.{tries[0]}": tries[1] for where in ("spark.emr-serverless.driverEnv", "spark.executorEnv")}
        if self.python_archive:
            python = "./environment/bin/python"
            conf |= {
                "spark.archives": f"{self.python_archive}#environment",
                "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": python,
                "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": python,
                "spark.executorEnv.PYSPARK_PYTHON": python,
            }
        return conf | self.spark_conf

    def _run(self, handle: JobHandle) -> dict[str, Any]:
        return dict(self._aws.call(SERVICE, "get_job_run", _ids(handle))["jobRun"])

    def _runs(self) -> Iterator[dict[str, Any]]:
        asked = {"applicationId": self.application_id, "createdAtAfter": datetime.now(UTC) - _KEPT, "maxResults": 50}
        for _ in range(_PAGES):
            page = self._aws.call(SERVICE, "list_job_runs", asked)
            yield from page["jobRuns"]
            if not page.get("nextToken"):
                return
            asked["nextToken"] = page["nextToken"]

    def _failure(self, handle: JobHandle, details: str, attempt: int) -> tuple[str, str]:
        try:
            result = self._files(handle.token).result() or {}
        except LakehouseError:
            result = {}
        if result.get("status") == "failed":
            return str(result.get("error", "")), str(result.get("error_type", ""))
        # Spark's own end is in the one, that of the Python program in the other.
        log = b"".join(self._log(handle, attempt, stream) for stream in ("stderr", "stdout"))
        return failure(details, log.decode("utf-8", "replace"))

    @property
    def _logs(self) -> str:
        return (self.log_uri or f"{self.scripts.rstrip('/')}/logs").rstrip("/")

    def _log_root(self, handle: JobHandle) -> str:
        return f"{self._logs}/applications/{handle.location}/jobs/{handle.job_id}"

    def _log(self, handle: JobHandle, attempt: int, stream: str = "stdout") -> bytes:
        """Return what the driver of an attempt has written, as far as it is there and can be read.

        Spark sends both streams of a Python program to its own standard output (PythonRunner).
        """
        name = f"attempts/{attempt}/SPARK_DRIVER/{stream}.gz" if attempt > 1 else f"SPARK_DRIVER/{stream}.gz"
        try:
            packed = S3Folder(self._hurried, self._log_root(handle)).read(name) or b""
            # Not gzip.decompress: what is still being written may end in the middle.
            return zlib.decompressobj(wbits=31).decompress(packed)
        except (LakehouseError, zlib.error):
            return b""


def _ids(handle: JobHandle) -> dict[str, str]:
    return {"applicationId": handle.location, "jobRunId": handle.job_id}
