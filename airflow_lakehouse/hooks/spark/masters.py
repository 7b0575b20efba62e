"""Drivers on a cluster: how YARN and Kubernetes are told to start one, and asked after it.

Both are found by the job's token: on Kubernetes the driver's pod is named after it, on YARN it is a tag of the
application. So a worker that dies between submitting and noting the id leaves nothing that cannot be found.
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_lakehouse.exceptions import ConfigurationError, EngineError, JobCancelledError, JobLostError
from airflow_lakehouse.hooks.spark.base import JobHandle, JobState, JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_lakehouse.hooks.spark.job_files import JobFiles

_SECONDS: Final = 120
_CANCELLED: Final = "cancelled.json"


class Master(Protocol):
    """A cluster manager that runs drivers."""

    def settings(self, token: str) -> dict[str, str]:
        """Return the Spark settings by which a job is found again.

        :param token: of the job.
        """
        ...

    def find(self, token: str, submit: tuple[str, ...]) -> str | None:
        """Return the manager's id of the job with a token, or None.

        :param token: of the job.
        :param submit: spark-submit with its options.
        """
        ...

    def state(self, job_id: str, submit: tuple[str, ...]) -> JobStatus:
        """Tell where a job stands, as far as the manager knows.

        :param job_id: from :meth:`find`.
        :param submit: spark-submit with its options.
        :raises JobLostError: when it knows no such job.
        """
        ...

    def kill(self, job_id: str, submit: tuple[str, ...]) -> None:
        """Stop a job.

        :param job_id: from :meth:`find`.
        :param submit: spark-submit with its options.
        """
        ...

    def link(self, job_id: str) -> dict[str, str]:
        """Return where a person can look at a job.

        :param job_id: from :meth:`find`.
        """
        ...


@dataclass(frozen=True)
class Kubernetes:
    """Drivers in pods; spark-submit itself tells of them (``--status namespace:pod``).

    https://spark.apache.org/docs/4.1.0/running-on-kubernetes.html#spark-application-management

    :param namespace: of the pods.
    """

    namespace: str = "default"

    def settings(self, token: str) -> dict[str, str]:
        """Name the pod after the token; a second one of that name is refused by Kubernetes."""
        return {
            "spark.kubernetes.driver.pod.name": f"lakehouse-{token[:40]}",
            "spark.kubernetes.submission.waitAppCompletion": "false",
        }

    def find(self, token: str, submit: tuple[str, ...]) -> str | None:
        """Look for the pod."""
        job_id = f"{self.namespace}:lakehouse-{token[:40]}"
        try:
            self.state(job_id, submit)
        except JobLostError:
            return None
        return job_id

    def state(self, job_id: str, submit: tuple[str, ...]) -> JobStatus:
        """Read the pod's phase."""
        said = _run((*_asking(submit), "--status", job_id))
        phase = re.search(r"phase: (\w+)", said)
        if phase is None:
            raise JobLostError(f"Kubernetes knows no pod {job_id}", remedy="run the job again")
        state = {"Succeeded": JobState.SUCCEEDED, "Failed": JobState.FAILED}.get(phase[1], JobState.RUNNING)
        reason = re.search(r"(?:termination|container) reason: (\S+)", said)
        is_memory = reason is not None and reason[1] == "OOMKilled"
        return JobStatus(state, reason[1] if reason else "", "MemoryExceededError" if is_memory else "", phase[1])

    def kill(self, job_id: str, submit: tuple[str, ...]) -> None:
        """Delete the pod."""
        _run((*_asking(submit), "--kill", job_id))

    def link(self, job_id: str) -> dict[str, str]:  # noqa: ARG002 - clusters differ in what they have to look at
        """Return nothing."""
        return {}


@dataclass(frozen=True)
class Yarn:
    """Drivers in application masters; the resource manager's REST API tells of them.

    https://hadoop.apache.org/docs/stable/hadoop-yarn/hadoop-yarn-site/ResourceManagerRest.html

    :param address: of the resource manager, ``http://host:8088``.
    """

    address: str

    def settings(self, token: str) -> dict[str, str]:
        """Tag the application with the token."""
        return {"spark.yarn.tags": f"lakehouse-{token}", "spark.yarn.submit.waitAppCompletion": "false"}

    def find(self, token: str, submit: tuple[str, ...]) -> str | None:  # noqa: ARG002 - as every master's
        """Look for the tag."""
        answer = self._ask(f"apps?applicationTags=lakehouse-{token}")
        found = (answer.get("apps") or {}).get("app") or []
        return str(found[0]["id"]) if found else None

    def state(self, job_id: str, submit: tuple[str, ...]) -> JobStatus:  # noqa: ARG002 - as every master's
        """Read the application's state."""
        app = self._ask(f"apps/{job_id}")["app"]
        ended = {
            "SUCCEEDED": JobState.SUCCEEDED,
            "FAILED": JobState.FAILED,
            "KILLED": JobState.CANCELLED,
        }.get(str(app.get("finalStatus")), JobState.RUNNING)
        is_over = app["state"] in ("FINISHED", "FAILED", "KILLED")
        kind = JobCancelledError.__name__ if is_over and ended is JobState.CANCELLED else ""
        return JobStatus(ended if is_over else JobState.RUNNING, "", kind, str(app["state"]))

    def kill(self, job_id: str, submit: tuple[str, ...]) -> None:  # noqa: ARG002 - as every master's
        """Ask for the state KILLED."""
        self._ask(f"apps/{job_id}/state", {"state": "KILLED"})

    def link(self, job_id: str) -> dict[str, str]:
        """Return the page of the resource manager."""
        return {"Console": f"{self.address.rstrip('/')}/cluster/app/{job_id}"}

    def _ask(self, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the address is the connection's
            f"{self.address.rstrip('/')}/ws/v1/cluster/{path}",
            data=json.dumps(body).encode() if body else None,
            headers={"Accept": "application/json", "Content-Type": "application/json"},
            method="PUT" if body else "GET",
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
                return dict(json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as error:
            if error.code == 404:  # noqa: PLR2004 - HTTP's own
                raise JobLostError(
                    f"YARN knows nothing of {path.partition('?')[0]}", remedy="run the job again"
                ) from error
            raise EngineError(f"YARN's resource manager answers {error.code}") from error
        except (OSError, ValueError) as error:
            raise EngineError(
                f"YARN's resource manager does not answer at {self.address}", remedy="mend resource_manager"
            ) from error


def master_of(master: str, resource_manager: str, conf: Mapping[str, str] = MappingProxyType({})) -> Master:
    """Return how drivers of a master are started and asked after.

    :param master: as spark-submit takes it.
    :param resource_manager: address of YARN's.
    :param conf: settings of Spark; the namespace of Kubernetes is one of them.
    :raises ConfigurationError: when it runs no Python drivers.
    """
    if master.startswith("k8s://"):
        return Kubernetes(conf.get("spark.kubernetes.namespace", "default"))
    if master == "yarn" and resource_manager:
        return Yarn(resource_manager)
    if master == "yarn":
        raise ConfigurationError("YARN is asked after its drivers at 'resource_manager'", legal="http://host:8088")
    raise ConfigurationError(
        f"{master!r} runs no drivers of Python", legal="yarn, k8s://...", remedy="use deploy_mode client"
    )


@dataclass(frozen=True)
class Cluster:
    """Jobs whose driver is on the cluster.

    :param runner: name of the runner, for handles.
    :param master: the cluster manager.
    :param submit_with: spark-submit with its options, given further settings.
    :param scripts: root of what jobs are given and report.
    :param aws_conn_id: connection for it, where it is in S3.
    :param entry_point: URI of another script than this package's own.
    """

    runner: str
    master: Master
    submit_with: Callable[[Mapping[str, str]], tuple[str, ...]]
    scripts: str
    aws_conn_id: str
    entry_point: str = ""

    def submit(self, job: str, arguments: Mapping[str, Any], token: str) -> JobHandle:
        """As :meth:`SparkRunner.submit`."""
        found = self.find(token)
        if found is not None:
            return found
        files = self._files(token)
        prepared = files.prepare(job, arguments, self.entry_point)
        conf = {**self.master.settings(token), "spark.submit.pyFiles": prepared.zip_uri}
        _run((*self.submit_with(conf), prepared.script_uri, *prepared.command_line))
        job_id = self.master.find(token, self.submit_with({}))
        if job_id is None:
            raise EngineError(f"job {job!r} was submitted, and the cluster knows nothing of it", remedy="run it again")
        return files.remember(JobHandle(self.runner, job_id, job, self.scripts, token=token))

    def find(self, token: str) -> JobHandle | None:
        """As :meth:`SparkRunner.find`."""
        known = self._files(token).recall()
        if known is not None:
            return known
        job_id = self.master.find(token, self.submit_with({}))
        return JobHandle(self.runner, job_id, "", self.scripts, token=token) if job_id else None

    def status(self, handle: JobHandle) -> JobStatus:
        """As :meth:`SparkRunner.status`. What the job itself reported says more than the manager does."""
        files = self._files(handle.token)
        try:
            status = self.master.state(handle.job_id, self.submit_with({}))
        except JobLostError:
            # A pod that was killed is deleted.
            if files.folder.size(files.name(_CANCELLED)) is None:
                raise
            return JobStatus(JobState.CANCELLED, "it was stopped", JobCancelledError.__name__)
        if status.state is not JobState.FAILED:
            return status
        said = files.result() or {}
        reason = str(said.get("error", "")) or f"the driver ended ({status.reason or status.service_state})"
        kind = str(said.get("error_type", "")) or status.error_type or JobLostError.__name__
        return replace(status, reason=reason, error_type=kind)

    def cancel(self, handle: JobHandle) -> None:
        """As :meth:`SparkRunner.cancel`."""
        submit = self.submit_with({})
        if self.status(handle).is_active:
            files = self._files(handle.token)
            files.folder.write(files.name(_CANCELLED), b"{}")
            self.master.kill(handle.job_id, submit)

    def follow_logs(self, handle: JobHandle, position: int) -> tuple[list[str], int]:  # noqa: ARG002 - as every runner's
        """Return nothing: the cluster manager keeps the log."""
        return [], position

    def result(self, handle: JobHandle) -> dict[str, Any]:
        """As :meth:`SparkRunner.result`."""
        return self._files(handle.token).outcome()

    def links(self, handle: JobHandle) -> dict[str, str]:
        """As :meth:`SparkRunner.links`."""
        return self.master.link(handle.job_id)

    def _files(self, token: str) -> JobFiles:
        from airflow_lakehouse.hooks.spark.aws import Aws
        from airflow_lakehouse.hooks.spark.job_files import JobFiles, S3Folder
        from airflow_lakehouse.ocr.folder import open_folder

        is_s3 = self.scripts.startswith("s3://")
        return JobFiles(S3Folder(Aws(self.aws_conn_id), self.scripts) if is_s3 else open_folder(self.scripts), token)


def _asking(submit: tuple[str, ...]) -> tuple[str, ...]:
    """Return spark-submit with the master and the settings: by these it finds the cluster and is let in."""
    pairs = pairwise(submit)
    return (*submit[:3], *(part for pair in pairs if pair[0] == "--conf" for part in pair))


def _run(command: tuple[str, ...]) -> str:
    """Run spark-submit to its end, and return what it said; its log may say a setting, so that is not passed on."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"spark-submit did not come to an end ({type(error).__name__})") from error
    if done.returncode:
        why = re.findall(r"\b[A-Z]\w+(?:Exception|Error)\b", done.stderr)
        raise EngineError(
            f"spark-submit ended with exit code {done.returncode} ({', '.join(dict.fromkeys(why[-3:])) or 'no reason'})"
        )
    return done.stdout + done.stderr
