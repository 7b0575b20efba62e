"""EMR Serverless and Glue that throttle, expire, lose answers and forget: each ends in one job, or the right error."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_lakehouse.exceptions import (
    ConfigurationError,
    CredentialsError,
    EngineError,
    JobLostError,
    LakehouseError,
    QuotaError,
    ThrottledError,
)
from airflow_lakehouse.hooks.spark import EmrServerlessRunner, GlueRunner, JobState
from airflow_lakehouse.hooks.spark.job_files import S3Folder
from airflow_lakehouse.hooks.spark.log_lines import failure, own_lines, without_values
from airflow_lakehouse.testing.fake_service import ServiceError
from tests.airflow.runners.conftest import ROLE, until

if TYPE_CHECKING:
    from airflow_lakehouse.hooks.spark import SparkRunner
    from tests.airflow.runners.conftest import World

TOKEN = "0123456789abcdef" * 4


@pytest.fixture(params=["emr", "glued"])
def remote(request: pytest.FixtureRequest) -> World:
    """Each service in turn."""
    world: World = request.getfixturevalue(request.param)
    return world


def _impatient(world: World, seconds: float = 0.3) -> SparkRunner:
    return replace(world.runner, patience_seconds=seconds)  # type: ignore[type-var] # runners are dataclasses


def _forget(world: World) -> None:
    """Undo the note of the job: the worker died after it had started it, and before it could say so."""
    runner: Any = world.runner
    bucket, _, prefix = runner.scripts.removeprefix("s3://").partition("/")
    boto3.client("s3").delete_object(Bucket=bucket, Key=f"{prefix}/jobs/{TOKEN}/job.json")


def test_a_throttling_burst_is_waited_out(remote: World) -> None:
    """Refusals in a row delay a job, when it is started and when it is asked after; it starts once and ends well."""
    remote.service.throttle(3)
    remote.let()
    handle = remote.submit(token=TOKEN)
    remote.service.throttle(3)
    assert remote.ended(handle).state is JobState.SUCCEEDED
    assert len(remote.pids()) == 1


def test_throttling_without_end_is_said(remote: World) -> None:
    """When patience is over, the error says what it was; the job goes on and is found again."""
    handle = remote.submit(token=TOKEN)
    remote.service.throttle(1000)
    with pytest.raises(ThrottledError, match="Rate exceeded"):
        _impatient(remote).status(handle)
    remote.service._faults.clear()
    assert remote.runner.status(handle).is_active


def test_expired_credentials_are_renewed(remote: World) -> None:
    """One refusal is met with new credentials; where those are refused too, the error says so."""
    handle = remote.submit(token=TOKEN)
    remote.service.expire_credentials(1)
    assert remote.runner.status(handle).is_active
    remote.service.expire_credentials(1000)
    with pytest.raises(CredentialsError, match="expired"):
        remote.runner.status(handle)


def test_a_lost_answer_starts_no_second_run(remote: World) -> None:
    """The run was started, the answer did not arrive: the same run is returned."""
    before = remote.submit()  # which makes the Glue job
    remote.service.lose_responses(1, "StartJobRun")
    asked = remote.service.requests["StartJobRun"]
    handle = remote.submit(token=TOKEN)
    assert list(remote.service.runs) == [before.job_id, handle.job_id]
    assert remote.service.requests["StartJobRun"] - asked == (2 if remote.runner.name == "emr_serverless" else 1)


def test_an_answer_that_does_not_say_whether_it_was_done_starts_no_second_run(
    remote: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run was started, and the service says "internal error": it is looked for before it is asked for again."""
    remote.submit()  # which makes the Glue job
    answer, broken = remote.service.answer, ["StartJobRun"]

    def breaking(operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = answer(operation, arguments)
        if operation in broken:
            broken.remove(operation)
            raise ServiceError("InternalServiceException", "An internal error occurred.", 500)
        return told

    monkeypatch.setattr(remote.service, "answer", breaking)
    handle = remote.submit(token=TOKEN)
    assert not broken
    assert list(remote.service.runs)[1:] == [handle.job_id]


def test_a_run_is_found_that_nobody_noted(remote: World) -> None:
    """A worker died between starting and noting: the next one finds the run, by name or argument, and notes it."""
    handle = remote.submit(token=TOKEN)
    _forget(remote)
    assert remote.runner.find(TOKEN) == handle
    assert remote.submit(token=TOKEN) == handle
    assert list(remote.service.runs) == [handle.job_id]


def test_a_vanished_run_is_lost_while_it_runs(remote: World) -> None:
    """The service forgets a run that went on: the error says that it is gone."""
    handle = remote.submit(token=TOKEN)
    until(remote.pids)
    remote.vanish(handle)
    with pytest.raises(JobLostError, match="not found"):
        remote.runner.status(handle)


def test_a_lost_host_is_told_from_a_failed_job(remote: World) -> None:
    """The driver's host goes away in the middle of the job."""
    handle = remote.submit(token=TOKEN)
    until(remote.pids)
    remote.service.lose_driver(handle.job_id)
    assert remote.ended(handle).error_type == "JobLostError"


def test_unreadable_logs_fail_no_job(remote: World) -> None:
    """S3 refuses the log's bucket, CloudWatch its stream: the job ends well, and a failed one still says why."""
    world = remote
    if isinstance(world.runner, EmrServerlessRunner):
        world.runner = replace(world.runner, log_uri="s3://there-is-no-such-bucket/logs")
    world.service.refuse(ServiceError("AccessDeniedException", "no"), 1000, "GetLogEvents")
    world.let()
    handle = world.submit("raise", token=TOKEN)
    assert world.runner.follow_logs(handle, 7)[0] == []
    status = world.ended(handle)
    assert (status.state, status.error_type) == (JobState.FAILED, "JobFailedError")
    assert "Jane Roe" not in status.reason


def test_a_quota_of_glue_is_said_and_passes(glued: World) -> None:
    """As many runs as the Glue job may have: the error says so, and the same token starts when there is room."""
    assert isinstance(glued.runner, GlueRunner)
    glued.submit()
    glued.service.jobs[glued.runner.job_name]["ExecutionProperty"]["MaxConcurrentRuns"] = 1
    with pytest.raises(QuotaError, match="Concurrent runs exceeded"):
        _impatient(glued).submit("work", glued.arguments, TOKEN)
    glued.let()
    until(lambda: not any(run.is_active for run, _ in glued.service.runs.values()))
    glued.service.runs.clear()
    boto3.client("s3").delete_object(
        Bucket=glued.runner.scripts.split("/")[2], Key=f"lake/jobs/{TOKEN}/claim"
    )  # its thirty seconds are over
    assert glued.ended(glued.submit(token=TOKEN)).state is JobState.SUCCEEDED


def test_a_quota_of_emr_is_the_reason(emr: World) -> None:
    """The application is full: the run fails, and its error class says that it was not the job's fault."""
    emr.service.capacity = 0
    status = emr.ended(emr.submit())
    assert (status.state, status.error_type) == (JobState.FAILED, "QuotaError")
    assert "maximumCapacity" in status.reason


def test_a_release_between_two_attempts_finds_the_first_ones_job(emr: World) -> None:
    """The client token with other parameters is refused by the service: the run of the old release is the one."""
    handle = emr.submit(token=TOKEN)
    _forget(emr)
    emr.runner = replace(emr.runner, spark_conf={"spark.driver.memory": "4g"})  # type: ignore[type-var]
    assert emr.submit(token=TOKEN) == handle
    emr.service.forget_tokens()
    assert emr.runner.find(TOKEN) == handle
    assert list(emr.service.runs) == [handle.job_id]


def test_the_last_attempts_log_is_followed(emr: World) -> None:
    """The service starts a failed run again: its attempt is told, and the log of each attempt follows once."""
    emr.runner = replace(emr.runner, max_attempts=2)  # type: ignore[type-var]
    emr.let()
    handle = emr.submit("raise")
    assert emr.ended(handle).attempt == 2
    first, position = emr.runner.follow_logs(handle, 0)
    again, end = emr.runner.follow_logs(handle, position)
    assert len([*first, *again]) == 1
    assert emr.runner.follow_logs(handle, end) == ([], end)
    assert len(emr.pids()) == 2


def test_two_attempts_of_one_task_start_one_run_of_glue(glued: World) -> None:
    """Glue knows no client token: of two who set out at once, one starts, and the other waits for its run."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        handles = set(pool.map(lambda _: glued.runner.submit("work", glued.arguments, TOKEN), range(4)))
    assert len(handles) == len(glued.service.runs) == 1


def test_a_glue_job_is_made_once_or_asked_for(glued: World) -> None:
    """With a role, the first run makes the Glue job; without, the error says what to do."""
    assert isinstance(glued.runner, GlueRunner)
    with pytest.raises(ConfigurationError, match="set role_arn"):
        replace(glued.runner, role_arn="").submit("work", glued.arguments, TOKEN)
    glued.submit()
    glued.submit()
    assert glued.service.requests["CreateJob"] == 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (EmrServerlessRunner, {"application_id": "", "execution_role_arn": ROLE, "scripts": "s3://b"}),
        (EmrServerlessRunner, {"application_id": "x", "execution_role_arn": "role", "scripts": "s3://b"}),
        (EmrServerlessRunner, {"application_id": "x", "execution_role_arn": ROLE, "scripts": "/tmp/scripts"}),
        (GlueRunner, {"scripts": "scripts"}),
        (GlueRunner, {"scripts": "s3://b", "role_arn": "role"}),
        (GlueRunner, {"scripts": "s3://b", "arguments": {"key": "value"}}),
    ],
)
def test_options_that_make_no_sense_are_refused(kind: Any, options: dict[str, Any]) -> None:
    """When the runner is built, and not by the service an hour later."""
    with pytest.raises(ConfigurationError):
        kind(**options)


def test_nothing_iceberg_is_downloaded(emr: World, glued: World) -> None:
    """Both engines are told to use the Iceberg of their release, and none from Maven."""
    emr.submit()
    parameters = next(iter(emr.service.runs.values())).request["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
    assert "spark.jars=/usr/share/aws/iceberg/lib/" in parameters
    assert "spark.emr-serverless.driverEnv.AWS_MAX_ATTEMPTS=10" in parameters
    glued.submit()
    given = next(iter(glued.service.runs.values()))[1]["Arguments"]
    assert given["--datalake-formats"] == "iceberg"
    assert "packages" not in parameters + json.dumps(given)


def test_of_many_who_create_a_file_one_does(emr: World) -> None:
    """The claim of a start is a conditional write."""
    runner: Any = emr.runner
    folder = S3Folder(runner._aws, runner.scripts)
    assert [folder.create("claimed", name) for name in (b"a", b"b")] == [True, False]
    assert folder.read("claimed") == b"a"


@pytest.mark.parametrize(
    ("details", "kind"),
    [
        ("Job failed. ExitCode: 137. Last few exceptions: ValueError: 'Jane Roe'", "JobLostError"),
        ("java.lang.OutOfMemoryError: Java heap space", "MemoryExceededError"),
        ("Worker could not be allocated as the application has exceeded maximumCapacity settings", "QuotaError"),
        ("SparkArithmeticException: [DIVIDE_BY_ZERO] Jane Roe", "JobFailedError"),
        ("", "JobFailedError"),
    ],
)
def test_services_words_become_error_classes(details: str, kind: str) -> None:
    """What a service says when a job ended without a result, and which retry it is worth; never the values."""
    reason, error_type = failure(details, "")
    assert error_type == kind
    assert reason
    assert "Jane Roe" not in reason


def test_an_error_of_ours_is_read_back_from_the_log() -> None:
    """A job that could write no result still says what it was, by the last error line of this package."""
    log = "2026-01-15 10:00:00,123 ERROR airflow_lakehouse.spark.cluster: SetupError: pyiceberg not found. Remedy: x."
    assert failure("SystemExit: 2", log) == ("pyiceberg not found. Remedy: x.", "SetupError")
    assert own_lines(log) == [log]
    assert without_values("[DIVIDE] SystemExit: 2") == "[DIVIDE] SystemExit: 2"


def test_errors_keep_their_class() -> None:
    """Retry policies go by class: what the service does is not what the job did."""
    for kind in (ThrottledError, QuotaError, CredentialsError):
        assert issubclass(kind, EngineError)
        assert issubclass(kind, LakehouseError)
