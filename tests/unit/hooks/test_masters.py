"""Drivers on YARN and Kubernetes: what is asked, and what the answers mean."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from airflow_lakehouse.exceptions import ConfigurationError, EngineError, JobLostError
from airflow_lakehouse.hooks.spark import JobState, SparkSubmitRunner
from airflow_lakehouse.hooks.spark.masters import Cluster, Kubernetes, Yarn, master_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "ab" * 32


class ResourceManager(BaseHTTPRequestHandler):
    """YARN's resource manager, for one application."""

    app: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Tell of the application."""
        self.asked.append(self.path)
        if "applicationTags" in self.path:
            self._answer({"apps": {"app": [self.app] if self.app else []} if self.app else None})
        elif self.app and self.path.endswith(self.app["id"]):
            self._answer({"app": self.app})
        else:
            self.send_error(404)

    def do_PUT(self) -> None:
        """Kill it."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.app.update(state=body["state"], finalStatus="KILLED")
        self._answer({"state": body["state"]})

    def _answer(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's own
        """Say nothing."""


@pytest.fixture
def yarn() -> Iterator[Yarn]:
    """Return YARN, with one application that runs."""
    server = HTTPServer(("127.0.0.1", 0), ResourceManager)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ResourceManager.app = {"id": "application_1_0001", "state": "RUNNING", "finalStatus": "UNDEFINED"}
    ResourceManager.asked.clear()
    yield Yarn(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def test_yarn_is_asked_by_tag_and_told_to_kill(yarn: Yarn) -> None:
    """The tag finds the application without its id; a killed one was cancelled; one that is gone is lost."""
    assert yarn.settings(TOKEN)["spark.yarn.tags"] == f"lakehouse-{TOKEN}"
    job_id = yarn.find(TOKEN, ())
    assert job_id == "application_1_0001"
    assert ResourceManager.asked[-1].endswith(f"applicationTags=lakehouse-{TOKEN}")
    assert yarn.state(job_id, ()).state is JobState.RUNNING
    yarn.kill(job_id, ())
    status = yarn.state(job_id, ())
    assert (status.state, status.error_type, status.service_state) == (
        JobState.CANCELLED,
        "JobCancelledError",
        "KILLED",
    )
    ResourceManager.app = {}
    assert yarn.find(TOKEN, ()) is None
    with pytest.raises(JobLostError):
        yarn.state(job_id, ())
    with pytest.raises(EngineError, match="does not answer"):
        Yarn("http://127.0.0.1:9").find(TOKEN, ())


@pytest.mark.parametrize(
    ("state", "final", "expected"),
    [
        ("ACCEPTED", "UNDEFINED", JobState.RUNNING),
        ("FINISHED", "SUCCEEDED", JobState.SUCCEEDED),
        ("FINISHED", "FAILED", JobState.FAILED),
    ],
)
def test_what_yarns_states_mean(yarn: Yarn, state: str, final: str, expected: JobState) -> None:
    """Final status counts once the application is over."""
    ResourceManager.app.update(state=state, finalStatus=final)
    assert yarn.state("application_1_0001", ()).state is expected


SUBMIT = """#!/bin/sh
# Answers as spark-submit does for Kubernetes; what it was told is kept.
echo "$@" >> "$(dirname "$0")/told"
case "$*" in
  *--status*) cat "$(dirname "$0")/status" ;;
  *--kill*) : > "$(dirname "$0")/status" ;;
  *) printf 'Application status (driver):\\n\\t phase: Running\\n' > "$(dirname "$0")/status" ;;
esac
"""


@pytest.fixture
def submit(tmp_path: Path) -> Path:
    """Return a spark-submit that knows of no pod yet."""
    binary = tmp_path / "spark" / "bin" / "spark-submit"
    binary.parent.mkdir(parents=True)
    binary.write_text(SUBMIT)
    binary.chmod(0o755)
    (binary.parent / "status").touch()
    return binary


def test_a_driver_on_kubernetes_is_a_pod_named_after_its_token(submit: Path, tmp_path: Path) -> None:
    """It is submitted once, found by another process without its id, cancelled, and then said to be."""
    runner = SparkSubmitRunner(
        "k8s://https://127.0.0.1:6443",
        deploy_mode="cluster",
        spark_home=str(tmp_path / "spark"),
        scripts=str(tmp_path / "scripts"),
    )
    assert runner.find(TOKEN) is None
    handle = runner.submit("raw_to_bronze", {"run_id": "run"}, TOKEN)
    assert handle.job_id == f"default:lakehouse-{TOKEN[:40]}"
    assert handle.host == ""
    assert runner.submit("raw_to_bronze", {"run_id": "run"}, TOKEN) == handle == runner.find(TOKEN)
    told = (submit.parent / "told").read_text()
    assert told.count("--job raw_to_bronze") == 1
    assert f"spark.kubernetes.driver.pod.name=lakehouse-{TOKEN[:40]}" in told
    given = json.loads((tmp_path / "scripts" / "jobs" / TOKEN / "arguments.json").read_text())
    assert given == {"run_id": "run"}
    assert runner.status(handle).state is JobState.RUNNING
    runner.cancel(handle)
    assert runner.status(handle).state is JobState.CANCELLED


def test_pods_are_looked_for_where_they_are_started(submit: Path, tmp_path: Path) -> None:
    """The namespace of the settings; the other settings say how to get into the cluster, and every call has them."""
    runner = SparkSubmitRunner(
        "k8s://https://127.0.0.1:6443",
        deploy_mode="cluster",
        spark_home=str(tmp_path / "spark"),
        scripts=str(tmp_path / "scripts"),
        conf={"spark.kubernetes.namespace": "etl", "spark.kubernetes.context": "night"},
    )
    handle = runner.submit("raw_to_bronze", {"run_id": "run"}, TOKEN)
    assert handle.job_id == f"etl:lakehouse-{TOKEN[:40]}"
    runner.cancel(handle)
    calls = [line for line in (submit.parent / "told").read_text().splitlines() if "--master" in line]
    assert {"--status", "--kill"} < {word for line in calls for word in line.split()}
    assert all("--conf spark.kubernetes.context=night" in line for line in calls)


@pytest.mark.parametrize(
    ("said", "state", "kind"),
    [
        ("phase: Succeeded", JobState.SUCCEEDED, ""),
        ("phase: Failed\n termination reason: OOMKilled", JobState.FAILED, "MemoryExceededError"),
        ("phase: Pending", JobState.RUNNING, ""),
    ],
)
def test_what_a_pods_phase_means(submit: Path, said: str, state: JobState, kind: str) -> None:
    """A pod that was killed for its memory says so."""
    (submit.parent / "status").write_text(said)
    status = Kubernetes().state("default:pod", (str(submit), "--master", "k8s://x"))
    assert (status.state, status.error_type) == (state, kind)


def test_a_failed_driver_says_what_the_job_said(submit: Path, tmp_path: Path) -> None:
    """The job's own result has the reason; the manager only knows that it failed."""
    cluster = Cluster("spark_submit", Kubernetes(), lambda _: (str(submit), "--master", "k8s://x"), str(tmp_path), "")
    handle = cluster.submit("raw_to_bronze", {}, TOKEN)
    (submit.parent / "status").write_text("phase: Failed")
    assert cluster.status(handle).error_type == "JobLostError"
    result = {"status": "failed", "error": "the drop is empty", "error_type": "InputError"}
    (tmp_path / "jobs" / TOKEN / "result.json").write_text(json.dumps(result))
    status = cluster.status(handle)
    assert (status.reason, status.error_type) == ("the drop is empty", "InputError")


def test_what_spark_submit_says_of_a_failure_is_no_setting(tmp_path: Path) -> None:
    """Only classes of errors are passed on from its output."""
    binary = tmp_path / "bin" / "spark-submit"
    binary.parent.mkdir()
    binary.write_text("#!/bin/sh\necho 'java.net.ConnectException: s3cret' >&2\nexit 1\n")
    binary.chmod(0o755)
    with pytest.raises(EngineError, match="ConnectException") as failed:
        Kubernetes().find(TOKEN, (str(binary), "--master", "k8s://x"))
    assert "s3cret" not in str(failed.value)


def test_what_no_driver_can_run_on_is_refused() -> None:
    """A standalone master runs no Python drivers; YARN needs its address; a cluster driver needs scripts."""
    cases: list[tuple[dict[str, Any], str]] = [
        ({"master": ""}, "given no master"),
        ({"master": "spark://h:1", "deploy_mode": "cluster", "scripts": "s3://b"}, "no drivers of Python"),
        ({"master": "yarn", "deploy_mode": "cluster", "scripts": "s3://b"}, "resource_manager"),
        ({"master": "k8s://h", "deploy_mode": "cluster"}, "needs 'scripts'"),
        ({"master": "yarn", "deploy_mode": "remote"}, "client, cluster"),
    ]
    for given, match in cases:
        with pytest.raises(ConfigurationError, match=match):
            SparkSubmitRunner(**given)
    assert master_of("k8s://h", "") == Kubernetes()


def test_the_command_names_jars_and_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver on this machine is spark-submit itself, with Iceberg's jars and this package for executors."""
    pytest.importorskip("pyspark")
    monkeypatch.delenv("SPARK_HOME", raising=False)
    runner = SparkSubmitRunner("spark://h:7077", conf={"spark.executor.memory": "1g"}, root=tmp_path)
    command = runner._client_command(tmp_path / "bundle.zip")
    assert command[0] == "/usr/bin/env"
    assert f"PYSPARK_DRIVER_PYTHON={sys.executable}" in command
    assert "spark.executor.memory=1g" in command
    assert f"spark.submit.pyFiles={tmp_path / 'bundle.zip'}" in command
    jars = command[command.index("--jars") + 1].split(",")
    assert any("iceberg-spark-runtime" in jar for jar in jars)
    assert command[-1].endswith("/jobs/__main__.py")
    is_well, said = runner.test_connection()
    assert is_well, said
