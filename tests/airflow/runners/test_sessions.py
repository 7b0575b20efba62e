"""Spark Connect on EMR Serverless: a session for each job, whose token is renewed while the job runs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from airflow_lakehouse.exceptions import EngineError
from airflow_lakehouse.hooks.spark import JobState, SparkConnectRunner
from airflow_lakehouse.hooks.spark.endpoints import EmrSession
from airflow_lakehouse.operators import shipped_code
from airflow_lakehouse.spark.engine import remote
from tests.airflow.runners.conftest import ROLE
from tests.airflow.runners.test_fake_sessions import METHOD, _echo

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.testing.fake_emr_serverless import FakeEmrServerless

TOKEN = "ab" * 32


def test_an_open_channel_goes_on_with_a_renewed_token(fake_emr_serverless: FakeEmrServerless, tmp_path: Path) -> None:
    """The same session for the same job; after its token has expired, the next one is shown on the channel there is."""
    fake_emr_serverless.sessions._upstream = _echo
    endpoint = EmrSession(fake_emr_serverless.application_id, ROLE, "aws_default", "us-east-1")
    held = endpoint.open(TOKEN)
    assert endpoint.open(TOKEN).session == held.session
    file = tmp_path / "remote.json"
    remote.write(file, held)
    channel = remote.channel_builder(file).toChannel()
    send = channel.stream_stream(METHOD)
    assert list(send(iter([b"one"]), timeout=10)) == [b"one"]
    fake_emr_serverless.sessions.expire_tokens()
    with pytest.raises(grpc.RpcError):
        list(send(iter([b"two"]), timeout=10))
    remote.write(file, endpoint.renew(held))
    assert list(send(iter([b"two"]), timeout=10)) == [b"two"]
    channel.close()
    assert endpoint.resources(held)["vcpu_hours"] >= 0
    endpoint.close(held)
    endpoint.close(held)
    assert fake_emr_serverless.sessions.sessions[held.session]["state"] == "TERMINATED"


def test_a_session_that_failed_to_start_is_not_given_back(fake_emr_serverless: FakeEmrServerless) -> None:
    """The attempt that sees it fail says so; the next one has another session, and the one after that the same."""
    sessions = fake_emr_serverless.sessions
    sessions._upstream, sessions._seconds = _echo, 3600.0
    endpoint = EmrSession(fake_emr_serverless.application_id, ROLE, "aws_default", "us-east-1", start_seconds=0.0)
    with pytest.raises(EngineError, match="is STARTING"):
        endpoint.open(TOKEN)
    (failed,) = sessions.sessions
    sessions.sessions[failed]["state"] = "FAILED"
    sessions._seconds = 0.0
    held = endpoint.open(TOKEN)
    assert held.session != failed
    assert endpoint.open(TOKEN).session == held.session
    assert set(sessions.sessions) == {failed, held.session}


def test_sessions_that_never_start_are_not_started_for_ever(
    fake_emr_serverless: FakeEmrServerless, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that no longer exists: however often the task is retried, the same few sessions are told of."""
    sessions = fake_emr_serverless.sessions
    sessions._upstream = _echo
    endpoint = EmrSession(fake_emr_serverless.application_id, ROLE, "aws_default", "us-east-1")
    started = sessions._start

    def start(given: dict[str, Any]) -> dict[str, Any]:
        told = started(given)
        sessions.sessions[told["sessionId"]]["state"] = "FAILED"
        return told

    monkeypatch.setattr(sessions, "_start", start)
    for _ in range(2):
        with pytest.raises(EngineError, match=r"20 sessions.*have ended"):
            endpoint.open(TOKEN)
    assert len(sessions.sessions) == 20


def count_for_a_while(spark: Any, seconds: float) -> dict[str, int]:
    """Ask Spark again and again, longer than a token holds."""
    import time

    from pyspark.sql import functions as F

    began, asked = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        asked += int(spark.range(7).where(F.col("id") >= 0).count() == 7)
        time.sleep(0.5)
    return {"asked": asked}


@pytest.mark.thorough
@pytest.mark.spark
@pytest.mark.usefixtures("lakehouse_engine")  # started before, or the fake would start it within a call
def test_a_job_lives_longer_than_its_token(fake_emr_serverless: FakeEmrServerless, tmp_path: Path) -> None:
    """Tokens hold four seconds and the job takes ten; it never notices, and its session is given back with its bill."""
    sessions = fake_emr_serverless.sessions
    sessions.token_seconds = 4.0
    runner = SparkConnectRunner(
        application_id=fake_emr_serverless.application_id, role_arn=ROLE, region="us-east-1", root=tmp_path / "jobs"
    )
    code = shipped_code.with_arguments(shipped_code.ship(count_for_a_while), [10.0], {})
    given = {"profile": {"warehouse": str(tmp_path / "warehouse")}, "run_id": "run", "code": code}
    handle = runner.submit("user_code", given, TOKEN)
    shown = set()
    while runner.status(handle).is_active:
        shown.add(remote.read(runner._file(TOKEN)).token)
        time.sleep(0.2)
    status = runner.status(handle)
    assert status.state is JobState.SUCCEEDED, status.reason
    result = runner.result(handle)
    assert result["values"]["asked"] >= 3
    assert result["resources"]["vcpu_hours"] > 0
    assert len(shown - {""}) >= 3
    assert {kept["state"] for kept in sessions.sessions.values()} == {"TERMINATED"}
    kept = "".join(path.read_text(errors="replace") for path in (tmp_path / "jobs").rglob("*") if path.is_file())
    assert not [token for token in shown if token and token in kept + json.dumps(handle.as_dict())]
