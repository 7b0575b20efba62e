"""Run jobs on a Spark Connect server: the job is a process of this machine, its session is there.

The address and the token are in a file of the job that only its user can read. They are read from the connection when
they are used, and again while the job is waited for, so that a token may expire in the middle of a job. Neither XCom
nor a trigger ever holds one.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_lakehouse.exceptions import ConfigurationError, LakehouseError
from airflow_lakehouse.hooks.spark.endpoints import EmrSession, Endpoint, Fixed
from airflow_lakehouse.hooks.spark.kept_bundle import kept_bundle
from airflow_lakehouse.hooks.spark.local import JOB_MODULE, LocalRunner, default_root
from airflow_lakehouse.spark.engine import remote, sockets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse.hooks.spark.base import JobHandle, JobStatus

_FILE: Final = "remote.json"
_RENEW_SECONDS: Final = 300
"""How long before it expires a token is renewed, and how often one is whose end is not known."""


@dataclass(frozen=True)
class SparkConnectRunner:
    """Jobs with a session on a Spark Connect server.

    :param url: ``sc://host:port``, with no token in it.
    :param conn_id: connection with host, port and, as its password, the token.
    :param application_id: of EMR Serverless; each job then has a session of its own there.
    :param role_arn: role of these sessions.
    :param aws_conn_id: Airflow's AWS connection, for these sessions.
    :param region: of the application.
    :param root: directory of the jobs' directories, see :class:`LocalRunner`.
    :param command: what starts a job.
    :param grace_seconds: how long a cancelled job may take to end by itself.
    """

    name: ClassVar[str] = "spark_connect"
    is_near: ClassVar[bool] = True
    url: str = ""
    conn_id: str = ""
    application_id: str = ""
    role_arn: str = ""
    aws_conn_id: str = "aws_default"
    region: str = ""
    root: Path | None = None
    command: tuple[str, ...] = (sys.executable, "-m", JOB_MODULE)
    grace_seconds: float = 15.0

    def __post_init__(self) -> None:
        """Take what JSON makes of paths and tuples, too; refuse what names no server, or a token."""
        object.__setattr__(self, "root", Path(self.root) if self.root else None)
        object.__setattr__(self, "command", tuple(self.command))
        if not (self.url or self.conn_id or self.application_id):
            raise ConfigurationError(
                "spark_connect was given no server",
                legal="url, conn_id or application_id",
                remedy="set one in runner_options",
            )
        if "token=" in self.url:
            raise ConfigurationError(
                "the url of spark_connect holds a token, which options must not",
                remedy="put it into a connection as its password, and name that in conn_id",
            )

    def options(self) -> dict[str, Any]:
        """Return what builds this runner again, as JSON values."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**given, "command": list(self.command), "root": str(self.root) if self.root else None}

    def submit(self, job: str, arguments: Mapping[str, Any], token: str) -> JobHandle:
        """Start a job, or return the one that was started under the token.

        :param job: name of the job.
        :param arguments: JSON values for it.
        :param token: 8 to 64 hexadecimal digits.
        :raises EngineError: when there is no server, or the job cannot be started.
        """
        found = self.find(token)
        if found is not None:
            return found
        file = self._file(token)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        bundle = str(kept_bundle(self.root, (arguments.get("profile") or {}).get("parsers") or ()))
        remote.write(file, replace(self._endpoint().open(token), bundle=bundle))
        command = ("/usr/bin/env", f"{remote.FILE_VARIABLE}={file}", *self.command)
        return self._named(self._processes(command).submit(job, arguments, token))

    def find(self, token: str) -> JobHandle | None:
        """Return the job that was started under a token, or None.

        :param token: as given to :meth:`submit`.
        """
        found = self._processes().find(token)
        return self._named(found) if found else None

    def status(self, handle: JobHandle) -> JobStatus:
        """Tell where a job stands, and renew the token of one that runs.

        :param handle: the job.
        """
        status = self._processes().status(handle)
        if status.is_active:
            self._renew(handle.job_id)
        else:
            self._close(handle.job_id)
        return status

    def cancel(self, handle: JobHandle) -> None:
        """Stop a job and what it runs on the server.

        :param handle: the job.
        """
        self._processes().cancel(handle)
        self._close(handle.job_id)

    def follow_logs(self, handle: JobHandle, position: int) -> tuple[list[str], int]:
        """Return this package's own log lines since a position.

        :param handle: the job.
        :param position: bytes already read.
        """
        return self._processes().follow_logs(handle, position)

    def result(self, handle: JobHandle) -> dict[str, Any]:
        """Return what a job that succeeded reported, and what its session was billed.

        :param handle: the job.
        """
        result = self._processes().result(handle)
        # What is billed is told with the result, and is no reason to lose it.
        with suppress(LakehouseError):
            billed = self._endpoint().resources(remote.read(self._file(handle.job_id)))
            return {**result, "resources": billed} if billed else result
        return result

    def links(self, handle: JobHandle) -> dict[str, str]:  # noqa: ARG002 - as every runner's
        """Return nothing: the address of a session's pages would hold a token."""
        return {}

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the server answers; of EMR Serverless, whether its sessions can be listed."""
        try:
            if self.application_id:
                self._emr().check()
                return True, f"application {self.application_id} answers"
            server = self._endpoint().open("")
            sockets.check_reachable(server.url, "conn_id or url in runner_options")
        except LakehouseError as error:
            return False, str(error)
        return True, f"a server answers at {server.url.partition(';')[0]}"

    def _renew(self, token: str) -> None:
        """Ask for a token while the one there is still holds. A job that runs does not end for a failure of it."""
        file = self._file(token)
        try:
            known = remote.read(file)
            written = file.stat().st_mtime
            # Of a token that holds for less than that, when half its time is over: not at every look.
            due = max(known.expires - _RENEW_SECONDS, (written + known.expires) / 2)
            is_due = time.time() > (due if known.expires else written + _RENEW_SECONDS)
            if is_due and known.token:
                remote.write(file, self._endpoint().renew(known))
        except (LakehouseError, OSError):
            return

    def _close(self, token: str) -> None:
        """Give back the session once, and forget its token."""
        file = self._file(token)
        try:
            held = remote.read(file)
            if held.url:
                self._endpoint().close(held)
                remote.write(file, replace(held, url="", token=""))
        except LakehouseError:
            # Asked again with the next look; and an idle session ends by itself.
            return

    def _endpoint(self) -> Endpoint:
        return self._emr() if self.application_id else Fixed(self.url, self.conn_id)

    def _emr(self) -> EmrSession:
        return EmrSession(self.application_id, self.role_arn, self.aws_conn_id, self.region)

    def _file(self, token: str) -> Path:
        return (self.root or default_root()).absolute() / token / _FILE

    def _processes(self, command: tuple[str, ...] = ()) -> LocalRunner:
        return LocalRunner(self.root, command, self.grace_seconds)

    def _named(self, handle: JobHandle) -> JobHandle:
        return replace(handle, runner=self.name)
