"""The server of the fakes says what is wrong with it, and nothing of clients that hang up."""

from __future__ import annotations

import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest

from airflow_lakehouse.testing.loopback import LoopbackServer


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Break."""
        raise ValueError("the fake itself is broken")


@pytest.mark.parametrize(("asks", "is_told"), [(b"", False), (b"GET / HTTP/1.0\r\n\r\n", True)])
def test_a_client_that_hangs_up_is_not_told_of(
    capfd: pytest.CaptureFixture[str], asks: bytes, *, is_told: bool
) -> None:
    """Spark resets each connection of a pool it gives up: hundreds of tracebacks a run. A real fault is told."""
    server = LoopbackServer(_Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        with socket.create_connection(("127.0.0.1", server.server_port)) as client:
            if asks:
                client.sendall(asks)
                client.recv(1)
            else:
                # Closed without a wait, the connection is reset while the server reads.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                time.sleep(0.1)
        time.sleep(0.1)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert ("Traceback" in capfd.readouterr().err) is is_told
