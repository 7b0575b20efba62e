"""The fake's sessions before a gRPC server that answers with what it is sent: tokens, their end, and errors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import grpc
import pytest

from tests.airflow.runners.conftest import ROLE, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_lakehouse.testing.fake_emr_serverless import FakeEmrServerless

METHOD = "/spark.connect.SparkConnectService/ExecutePlan"


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """Answers each message with itself, and fails where it is told to."""

    def service(self, details: Any) -> Any:  # noqa: ARG002 - the base class names it
        """Serve every method."""

        def answer(requests: Any, context: Any) -> Iterator[bytes]:
            for message in requests:
                if message == b"fail":
                    context.set_trailing_metadata((("reason-bin", b"why"),))
                    context.abort(grpc.StatusCode.INTERNAL, "as it was told")
                yield message

        return grpc.stream_stream_rpc_method_handler(answer)


@contextmanager
def _echo() -> Iterator[Any]:
    server = grpc.server(ThreadPoolExecutor(4), handlers=(Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(0).wait()


class Client:
    """A client of the session, as pyspark's: the token goes with each call."""

    def __init__(self, emr: FakeEmrServerless) -> None:
        self._emr = emr
        self._boto = boto3.client("emr-serverless")
        started = self._boto.start_session(
            applicationId=emr.application_id, executionRoleArn=ROLE, clientToken="a" * 64, name="one"
        )
        self.session = started["sessionId"]
        until(lambda: self.ask("get_session")["session"]["state"] == "STARTED")

    def ask(self, operation: str) -> Any:
        """Ask the service about the session."""
        return getattr(self._boto, operation)(applicationId=self._emr.application_id, sessionId=self.session)

    def send(self, told: Any, *messages: bytes) -> list[bytes]:
        """Send messages with the token that was told."""
        token = grpc.access_token_call_credentials(told["authToken"])
        credentials = grpc.composite_channel_credentials(grpc.local_channel_credentials(), token)
        with grpc.secure_channel(told["endpoint"].removeprefix("http://"), credentials) as channel:
            return list(channel.stream_stream(METHOD)(iter(messages)))


@pytest.fixture
def client(fake_emr_serverless: FakeEmrServerless) -> Client:
    """A session that has started."""
    fake_emr_serverless.sessions._upstream = _echo
    return Client(fake_emr_serverless)


def test_a_token_opens_the_endpoint_until_it_expires(fake_emr_serverless: FakeEmrServerless, client: Client) -> None:
    """Messages pass with a token that holds, are refused with one that does not, and pass again with the next."""
    told = client.ask("get_session_endpoint")
    assert client.send(told, b"one", b"two") == [b"one", b"two"]
    fake_emr_serverless.sessions.expire_tokens()
    with pytest.raises(grpc.RpcError) as refused:
        client.send(told, b"three")
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert client.send(client.ask("get_session_endpoint"), b"three") == [b"three"]
    fake_emr_serverless.sessions.token_seconds = -1.0
    with pytest.raises(grpc.RpcError):
        client.send(client.ask("get_session_endpoint"), b"four")


def test_errors_pass_with_all_they_carry(client: Client) -> None:
    """Spark's errors come as trailing metadata, which clients read."""
    with pytest.raises(grpc.RpcError) as failed:
        client.send(client.ask("get_session_endpoint"), b"fail")
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.INTERNAL, "as it was told")
    assert ("reason-bin", b"why") in [tuple(pair) for pair in failed.value.trailing_metadata()]


def test_a_session_that_is_terminated_takes_nothing(client: Client) -> None:
    """Its token is over with it; the same client token starts no second session."""
    told = client.ask("get_session_endpoint")
    assert Client(client._emr).session == client.session
    client.ask("terminate_session")
    with pytest.raises(grpc.RpcError):
        client.send(told, b"one")
    assert client.ask("get_session")["session"]["state"] == "TERMINATED"
