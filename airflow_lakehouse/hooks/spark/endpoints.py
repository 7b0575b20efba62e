"""Spark Connect servers as a job needs them: one that is always there, or a session of EMR Serverless for each job."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_lakehouse._compat import AirflowNotFoundException, BaseHook
from airflow_lakehouse.exceptions import ConfigurationError, EngineError, JobLostError
from airflow_lakehouse.spark.engine.remote import Remote

if TYPE_CHECKING:
    from datetime import datetime

SERVICE: Final = "emr-serverless"
_READY: Final = ("STARTED", "IDLE", "BUSY")
_COMING: Final = ("SUBMITTED", "STARTING")
_PORT: Final = 15002
_SESSIONS: Final = 20
"""Sessions that may fail to start for one job, over all its attempts."""


class Endpoint(Protocol):
    """Where the session of a job is opened."""

    def open(self, token: str) -> Remote:
        """Return the server of a job, with a token that holds now; the same one for the same job.

        :param token: of the job.
        :raises EngineError: when there is none.
        """
        ...

    def renew(self, held: Remote) -> Remote:
        """Return the same server with a token that holds for longer.

        :param held: what :meth:`open` gave.
        :raises EngineError: when there is none.
        """
        ...

    def close(self, held: Remote) -> None:
        """Give back what a job held.

        :param held: what :meth:`open` gave.
        """
        ...

    def resources(self, held: Remote) -> dict[str, float]:
        """Return what the job is billed, where that is told.

        :param held: what :meth:`open` gave.
        """
        ...


@dataclass(frozen=True)
class Fixed:
    """A server that somebody runs.

    :param url: ``sc://host:port``; empty for what the connection says.
    :param conn_id: Airflow connection: host, port, the token as its password, and ``use_ssl`` in its extra.
    """

    url: str
    conn_id: str

    def open(self, token: str) -> Remote:
        """Read the connection, each time: a token that was renewed there is used from then on."""
        del token
        if not self.conn_id:
            return Remote(self.url)
        try:
            connection = BaseHook.get_connection(self.conn_id)
        except AirflowNotFoundException as error:
            raise ConfigurationError(
                f"there is no connection {self.conn_id!r}", remedy="add it, or name another in runner_options"
            ) from error
        extra = connection.extra_dejson
        use_ssl = str(extra.get("use_ssl", "false")).lower() == "true"
        url = self.url or f"sc://{connection.host}:{connection.port or _PORT}{'/;use_ssl=true' if use_ssl else ''}"
        return Remote(url, connection.password or "")

    def renew(self, held: Remote) -> Remote:
        """Read the connection again."""
        return replace(self.open(""), bundle=held.bundle)

    def close(self, held: Remote) -> None:
        """Leave the server alone."""

    def resources(self, held: Remote) -> dict[str, float]:
        """Return nothing."""
        del held
        return {}


@dataclass(frozen=True)
class EmrSession:
    """A session of EMR Serverless (emr-7.13.0 and newer), one for each job.

    Its token holds for about an hour. It is asked for anew while the job runs, and is only ever in the file of the job.

    https://docs.aws.amazon.com/emr-serverless/latest/APIReference/API_StartSession.html

    :param application_id: the application.
    :param role_arn: role of the session.
    :param aws_conn_id: Airflow's AWS connection.
    :param region: of the application; empty for the connection's.
    :param start_seconds: how long a session may take to start.
    """

    application_id: str
    role_arn: str
    aws_conn_id: str
    region: str
    start_seconds: float = 600.0

    def open(self, token: str) -> Remote:
        """Start the session, or find the one that was started under the token, and ask for its endpoint.

        To the same token the service gives the session back that it has, also one that has failed to start: a retry
        would be told of that failure for ever. So the next one is started under a token that follows from it.
        """
        session = ""
        for number in range(_SESSIONS):
            session = self._call(
                "start_session",
                executionRoleArn=self.role_arn,
                clientToken=hashlib.sha256(f"{token}/{number}".encode()).hexdigest(),
                name=f"lakehouse-{token[:16]}",
            )["sessionId"]
            if self._state(session) in (*_COMING, *_READY):
                self._await(session)
                return self.renew(Remote("", session=session))
        raise EngineError(
            f"{_SESSIONS} sessions of application {self.application_id} have ended before the job, {session} last",
            remedy="look at the application's capacity and the role of the session, and then clear the task",
        )

    def renew(self, held: Remote) -> Remote:
        """Ask for the endpoint, which comes with a token."""
        told = self._call("get_session_endpoint", sessionId=held.session)
        expires: datetime | None = told.get("authTokenExpiresAt")
        until = expires.timestamp() if expires else 0.0
        return replace(held, url=_as_url(told["endpoint"]), token=told["authToken"], expires=until)

    def close(self, held: Remote) -> None:
        """Terminate the session: an idle one is paid for."""
        with suppress(JobLostError):
            self._call("terminate_session", sessionId=held.session)

    def resources(self, held: Remote) -> dict[str, float]:
        """Return what the session was billed."""
        billed = self._call("get_session", sessionId=held.session)["session"].get("billedResourceUtilization") or {}
        names = {"vCPUHour": "vcpu_hours", "memoryGBHour": "memory_gb_hours", "storageGBHour": "storage_gb_hours"}
        return {ours: float(billed[theirs]) for theirs, ours in names.items() if billed.get(theirs) is not None}

    def check(self) -> None:
        """Ask something that changes nothing."""
        self._call("list_sessions", maxResults=1)

    def _await(self, session: str) -> None:
        deadline, wait = time.monotonic() + self.start_seconds, 0.5
        while (state := self._state(session)) not in _READY:
            if state not in _COMING or time.monotonic() > deadline:
                raise EngineError(
                    f"session {session} of application {self.application_id} is {state}",
                    remedy="look at the application's capacity and the role of the session",
                )
            time.sleep(wait)
            wait = min(wait * 1.5, 10.0)

    def _state(self, session: str) -> str:
        return str(self._call("get_session", sessionId=session)["session"]["state"])

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        from airflow_lakehouse.hooks.spark.aws import Aws

        given = {"applicationId": self.application_id, **arguments}
        return Aws(self.aws_conn_id, self.region).call(SERVICE, operation, given)


def _as_url(endpoint: str) -> str:
    """Return an endpoint, which the service gives as ``https://host``, as Spark Connect's client takes it."""
    scheme, _, rest = endpoint.rpartition("://")
    host = rest.rstrip("/")
    port = "" if ":" in host else ":443"
    return f"sc://{host}{port}" if scheme in ("http", "sc") else f"sc://{host}{port}/;use_ssl=true"
