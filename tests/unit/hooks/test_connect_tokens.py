"""Tokens of Spark Connect: shown at each call as they are then, renewed while a job runs, and nowhere to be read."""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from airflow_lakehouse.exceptions import ConfigurationError, EngineError
from airflow_lakehouse.hooks.spark import SparkConnectRunner
from airflow_lakehouse.hooks.spark.endpoints import EmrSession, Fixed
from airflow_lakehouse.spark.engine import remote
from airflow_lakehouse.spark.engine.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METHOD = "/spark.connect.SparkConnectService/Config"


@pytest.fixture
def server() -> Iterator[tuple[int, list[str]]]:
    """Return the port of a gRPC server, and the tokens it is shown."""
    shown: list[str] = []

    def answer(request: bytes, context: Any) -> bytes:
        shown.extend(value for name, value in context.invocation_metadata() if name == "authorization")
        return request

    service, _, method = METHOD.strip("/").partition("/")
    handler = grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(answer)})
    server = grpc.server(ThreadPoolExecutor(2), handlers=[handler])
    port = server.add_secure_port("localhost:0", grpc.local_server_credentials())
    server.start()
    yield port, shown
    server.stop(None).wait()


def test_a_token_that_is_renewed_is_shown_from_then_on(server: tuple[int, list[str]], tmp_path: Path) -> None:
    """One channel, one session: the second call carries the token the file has by then."""
    pytest.importorskip("pyspark")
    port, shown = server
    file = tmp_path / "remote.json"
    remote.write(file, Remote(f"sc://localhost:{port}", "first"))
    channel = remote.channel_builder(file).toChannel()
    call = channel.unary_unary(METHOD)
    call(b"x", timeout=10)
    remote.write(file, Remote(f"sc://localhost:{port}", "second"))
    call(b"x", timeout=10)
    channel.close()
    assert shown == ["Bearer first", "Bearer second"]


def test_only_its_user_reads_the_file(tmp_path: Path) -> None:
    """It is private from the first byte on, and its text is in no representation."""
    file = tmp_path / "remote.json"
    held = Remote("sc://localhost:1", "s3cret")
    remote.write(file, held)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in repr(held)
    assert remote.read(file) == held
    file.write_text("half")
    with pytest.raises(EngineError) as failed:
        remote.read(file)
    assert "half" not in str(failed.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("sc://host:1", "sc://host:1/;token=a%2Fb"),
        ("sc://host:1/;use_ssl=true", "sc://host:1/;use_ssl=true;token=a%2Fb"),
        ("sc://host:1/;use_ssl=true;", "sc://host:1/;use_ssl=true;token=a%2Fb"),
    ],
)
def test_the_address_carries_the_token_where_it_must(url: str, address: str) -> None:
    """As Spark's client reads it: parameters behind a semicolon, percent-encoded."""
    assert Remote(url, "a/b").address == address
    assert Remote(url).address == url


def test_the_connection_is_read_when_it_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A password that was changed is used from then on; options hold none of it, and an address may not."""
    connection = {"conn_type": "generic", "host": "host", "port": 7, "extra": {"use_ssl": True}}
    monkeypatch.setenv("AIRFLOW_CONN_CONNECT", json.dumps({**connection, "password": "first"}))
    opened = Fixed("", "connect").open("")
    assert (opened.url, opened.token) == ("sc://host:7/;use_ssl=true", "first")
    monkeypatch.setenv("AIRFLOW_CONN_CONNECT", json.dumps({**connection, "password": "second"}))
    assert Fixed("", "connect").renew(opened).token == "second"
    with pytest.raises(ConfigurationError, match="no connection 'absent'"):
        Fixed("", "absent").open("")
    with pytest.raises(ConfigurationError, match="holds a token"):
        SparkConnectRunner(url="sc://host/;token=s3cret")
    with pytest.raises(ConfigurationError, match="was given no server"):
        SparkConnectRunner()


TOKENS = ("t0ken-1", "t0ken-2", "t0ken-3")


class Service:
    """The sessions of EMR Serverless, as its API answers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.tokens = iter(TOKENS)
        self.states = iter(("SUBMITTED", "STARTING", "STARTED"))

    def call(self, operation: str, **given: Any) -> dict[str, Any]:
        """Answer."""
        self.calls.append((operation, given))
        if operation == "get_session":
            billed = {"vCPUHour": 0.25, "memoryGBHour": 1.0, "storageGBHour": 0.0}
            return {"session": {"state": next(self.states, "IDLE"), "billedResourceUtilization": billed}}
        if operation == "get_session_endpoint":
            soon = time.time() + 60
            expires = type("Time", (), {"timestamp": lambda _: soon})()
            return {"endpoint": "https://s.example", "authToken": next(self.tokens), "authTokenExpiresAt": expires}
        return {"sessionId": "s1"}


def test_a_session_is_opened_renewed_and_given_back_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One session a job, under the job's token; its own token is renewed before it ends, and is in no handle."""
    service = Service()
    monkeypatch.setattr(EmrSession, "_call", lambda _, operation, **given: service.call(operation, **given))
    monkeypatch.setattr("airflow_lakehouse.hooks.spark.endpoints.time.sleep", lambda _: None)
    wait = "import os, pathlib, sys, time\nwhile not pathlib.Path(sys.argv[-1] + '.go').exists(): time.sleep(0.02)\n"
    wait += 'pathlib.Path(sys.argv[-1]).write_text(\'{"status": "complete"}\')'
    runner = SparkConnectRunner(
        application_id="app", role_arn="role", root=tmp_path, command=(sys.executable, "-c", wait), grace_seconds=0.2
    )
    handle = runner.submit("work", {}, "ab" * 16)
    file = tmp_path / handle.job_id / "remote.json"
    assert remote.read(file) == Remote(
        "sc://s.example:443/;use_ssl=true", TOKENS[0], remote.read(file).expires, "s1", remote.read(file).bundle
    )
    assert [name for name, _ in service.calls].count("start_session") == 1
    assert runner.submit("work", {}, "ab" * 16) == handle
    assert runner.status(handle).is_active
    assert remote.read(file).token == TOKENS[0]
    os.utime(file, (time.time() - 600,) * 2)
    assert runner.status(handle).is_active  # more than half of the token's time is over
    assert remote.read(file).token == TOKENS[1]
    (tmp_path / handle.job_id / "result.json.go").touch()
    while runner.status(handle).is_active:
        time.sleep(0.02)
    runner.status(handle)
    assert runner.result(handle)["resources"] == {"vcpu_hours": 0.25, "memory_gb_hours": 1.0, "storage_gb_hours": 0.0}
    assert remote.read(file).token == ""
    operations = [operation for operation, _ in service.calls]
    assert (operations.count("start_session"), operations.count("terminate_session")) == (1, 1)
    told = json.dumps([handle.as_dict(), runner.options()])
    record = (tmp_path / handle.job_id / "job.json").read_text()
    assert not [token for token in TOKENS if token in told + record]
