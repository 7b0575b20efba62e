"""Ports of this machine, and whether a Spark Connect server answers at an address."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

from airflow_lakehouse.exceptions import EngineError

_REACH_SECONDS: Final = 10
_CONNECT_PORT: Final = 15002


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port of the loopback address.

    :param port: the port.
    """
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def check_reachable(remote: str, named_by: str) -> None:
    """Ask for a connection first: Spark's client would go on asking a dead server for minutes, without a word.

    :param remote: ``sc://host:port/;...``.
    :param named_by: the variable it came from.
    :raises EngineError: when nobody answers.
    """
    address = urlsplit(remote)
    host, port = address.hostname or "", address.port or _CONNECT_PORT
    try:
        socket.create_connection((host, port), timeout=_REACH_SECONDS).close()
    except OSError as error:
        # Host and port alone: what follows them in the address may be a token.
        raise EngineError(
            f"no Spark Connect server answers at {host}:{port} ({error.strerror or type(error).__name__})",
            remedy=f"start it, or mend or unset {named_by}",
        ) from error
