"""The address of a Spark Connect server that somebody else runs, and a token that is renewed while a job runs.

A token in an address would be seen in the environment of a process as long as it lives, and could not be exchanged in
a session that is open. So whoever starts the job writes both to a file of its user's alone, and renews it; the client
reads the token from there for each call.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow_lakehouse.exceptions import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

FILE_VARIABLE: Final = "LAKEHOUSE_SPARK_REMOTE_FILE"
"""Environment variable with the path of the file."""


@dataclass(frozen=True)
class Remote:
    """A server.

    :param url: ``sc://host:port/;...`` without a token.
    :param token: what it is shown; a secret. Empty for none.
    :param expires: when the token does, in seconds since the epoch; 0 for never, or where that is not known.
    :param session: the service's id of the session it belongs to; empty where there is none to give back.
    :param bundle: path of the zip of this package that the server's executors are given.
    """

    url: str
    token: str = ""
    expires: float = 0.0
    session: str = ""
    bundle: str = ""

    def __repr__(self) -> str:
        """Return the server without its token."""
        return f"Remote({self.url!r})"

    @property
    def address(self) -> str:
        """The address with the token, as ``SparkSession.builder.remote`` takes it. A secret: never logged."""
        if not self.token:
            return self.url
        separator = "" if self.url.endswith(";") else ";" if "/;" in self.url else "/;"
        return f"{self.url}{separator}token={quote(self.token, safe='')}"


def write(path: Path, remote: Remote) -> None:
    """Write a server and its token; a reader finds the old one or the new one, whole.

    :param path: of the file, which only its user can read.
    :param remote: the server.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        json.dump(asdict(remote), stream)
    partial.replace(path)


def read(path: Path) -> Remote:
    """Read a server and its token.

    :param path: of the file.
    :raises EngineError: when there is none.
    """
    try:
        return Remote(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise EngineError(f"{path} does not name a Spark Connect server ({type(error).__name__})") from error


def named_file() -> Path | None:
    """Return the file :data:`FILE_VARIABLE` names, or None."""
    given = os.environ.get(FILE_VARIABLE)
    return Path(given) if given else None


def channel_builder(path: Path) -> Any:
    """Return what makes the channel of a session, whose calls carry the token the file has then.

    :param path: of the file.
    """
    import grpc
    from pyspark.sql.connect.client import DefaultChannelBuilder

    class Renewing(DefaultChannelBuilder):  # type: ignore[misc] # pyspark has no types here
        def toChannel(self) -> grpc.Channel:  # noqa: N802 - pyspark's own name
            token = read(path).token
            if not token:
                return super().toChannel()
            on_this_machine = self.host in ("localhost", "127.0.0.1") and not self.use_ssl
            # Only to this machine may a token go without TLS.
            below = grpc.local_channel_credentials() if on_this_machine else grpc.ssl_channel_credentials()
            renewed = grpc.metadata_call_credentials(_plugin(lambda: read(path).token))
            return self._secure_channel(self.endpoint, grpc.composite_channel_credentials(below, renewed))

    return Renewing(read(path).url)


def _plugin(token: Callable[[], str]) -> Any:
    import grpc

    class Bearer(grpc.AuthMetadataPlugin):  # type: ignore[misc] # grpc has no types here
        def __call__(self, context: Any, callback: Any) -> None:
            del context
            try:
                callback((("authorization", f"Bearer {token()}"),), None)
            except EngineError as error:
                callback((), error)

    return Bearer()
