"""Sessions of EMR Serverless, as far as a client of Spark Connect sees them: an endpoint, and tokens that expire.

A relay stands before a Spark Connect server of this machine. It passes every call on byte for byte, if the token that
comes with it is one it has given out and that has not expired; else it refuses with ``UNAUTHENTICATED``.
"""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.testing.fake_service import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_THREADS: Final = 32
_ARN: Final = "arn:aws:emr-serverless:us-east-1:000000000000:"
_HEADER: Final = "authorization"
_ENDED: Final = ("TERMINATING", "TERMINATED", "FAILED")


class FakeSessions:
    """The sessions of one application.

    :param application_id: the application.
    :param upstream: opens a channel to the server, when the first session is started; entered until :meth:`close`.
    :param seconds: how long a session takes to start.
    """

    def __init__(self, application_id: str, upstream: Callable[[], Any], seconds: float) -> None:
        self._application_id, self._upstream, self._seconds = application_id, upstream, seconds
        self.token_seconds = 3600.0
        """How long a token holds that is given out from now on."""
        self.sessions: dict[str, dict[str, Any]] = {}
        self._started: dict[str, str] = {}
        self._tokens: dict[str, tuple[str, float]] = {}
        self._held = ExitStack()
        self._lock = threading.Lock()
        self._endpoint = ""

    def expire_tokens(self) -> None:
        """Let every token that was given out expire now."""
        with self._lock:
            self._tokens.clear()

    def answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked for.

        :param operation: such as ``StartSession``.
        :param given: arguments of the request.
        :raises ServiceError: when the service refuses.
        """
        does: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "StartSession": self._start,
            "GetSession": lambda asked: {"session": self._described(asked["sessionId"])},
            "GetSessionEndpoint": self._give_token,
            "TerminateSession": self._terminate,
            "ListSessions": lambda _: {"sessions": [self._described(session) for session in self.sessions]},
        }
        return does[operation](given)

    def close(self) -> None:
        """End the relay, and what it stands before."""
        self._held.close()

    def _start(self, given: dict[str, Any]) -> dict[str, Any]:
        known = self._started.get(given["clientToken"])
        if known is None:
            if not self._endpoint:
                self._endpoint = self._held.enter_context(
                    _relay(self._held.enter_context(self._upstream()), self._allows)
                )
            known = self._started[given["clientToken"]] = uuid.uuid4().hex[:16]
            self.sessions[known] = {**given, "at": time.time(), "state": ""}
        return {"applicationId": self._application_id, "sessionId": known, "arn": self._described(known)["arn"]}

    def _described(self, session: str) -> dict[str, Any]:
        if session not in self.sessions:
            raise ServiceError("ResourceNotFoundException", f"Session {session} not found", 404)
        kept = self.sessions[session]
        begun = "STARTED" if time.time() > kept["at"] + self._seconds else "STARTING"
        used = {"vCPUHour": round((time.time() - kept["at"]) / 900, 6), "memoryGBHour": 0.0, "storageGBHour": 0.0}
        return {
            "applicationId": self._application_id,
            "sessionId": session,
            "arn": f"{_ARN}/applications/{self._application_id}/sessions/{session}",
            "name": kept.get("name", ""),
            "state": kept["state"] or begun,
            "stateDetails": "",
            "executionRoleArn": kept["executionRoleArn"],
            "createdBy": "arn:aws:iam::000000000000:user/test",
            "createdAt": kept["at"],
            "updatedAt": time.time(),
            "billedResourceUtilization": used,
        }

    def _give_token(self, given: dict[str, Any]) -> dict[str, Any]:
        told = self._described(given["sessionId"])
        if told["state"] != "STARTED":
            raise ServiceError("ValidationException", f"Session {given['sessionId']} is in state {told['state']}")
        token, expires = uuid.uuid4().hex, time.time() + self.token_seconds
        with self._lock:
            self._tokens[token] = (given["sessionId"], expires)
        named = {"applicationId": self._application_id, "sessionId": given["sessionId"]}
        return {**named, "endpoint": self._endpoint, "authToken": token, "authTokenExpiresAt": expires}

    def _terminate(self, given: dict[str, Any]) -> dict[str, Any]:
        self._described(given["sessionId"])
        self.sessions[given["sessionId"]]["state"] = "TERMINATED"
        return {"applicationId": self._application_id, "sessionId": given["sessionId"]}

    def _allows(self, metadata: Any) -> bool:
        shown = dict(metadata).get(_HEADER, "").removeprefix("Bearer ")
        with self._lock:
            session, expires = self._tokens.get(shown, ("", 0.0))
        return time.time() < expires and self.sessions[session]["state"] not in _ENDED


class _relay:  # noqa: N801 - used as a function, like every context manager here
    """Run a relay on the loopback address; entering gives its address."""

    def __init__(self, channel: Any, allows: Callable[[Any], bool]) -> None:
        import grpc

        class Handler(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
            def service(self, details: Any) -> Any:
                return grpc.stream_stream_rpc_method_handler(_passed_on(channel, details.method, allows))

        limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(ThreadPoolExecutor(_THREADS), handlers=(Handler(),), options=limits)
        # What clients of Spark Connect show a token to without TLS: the loopback address.
        self._port = self._server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())

    def __enter__(self) -> str:
        self._server.start()
        # By name: pyspark shows a token without TLS to "localhost", and not to its address.
        return f"http://localhost:{self._port}"

    def __exit__(self, *_: object) -> None:
        self._server.stop(1).wait()


def _passed_on(channel: Any, method: str, allows: Callable[[Any], bool]) -> Callable[[Any, Any], Iterator[bytes]]:
    """Return what serves one method. On the wire, a single message is a stream of one."""
    import grpc

    def serve(requests: Any, context: Any) -> Iterator[bytes]:
        metadata = context.invocation_metadata()
        if not allows(metadata):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is unknown or has expired")
        given = [(name, value) for name, value in metadata if name != _HEADER and not name.startswith(("grpc-", ":"))]
        answers = channel.stream_stream(method)(requests, metadata=[pair for pair in given if pair[0] != "user-agent"])
        context.add_callback(answers.cancel)
        try:
            yield from answers
        except grpc.RpcError as error:
            context.set_trailing_metadata(tuple(error.trailing_metadata() or ()))
            context.abort(error.code(), error.details())

    return serve
