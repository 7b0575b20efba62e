"""The HTTP server all fakes run on."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LoopbackServer(ThreadingHTTPServer):
    """An HTTP server on the loopback address, with a thread for each connection.

    :param handler: class of what answers a request.
    :param port: of the address; any free one by default.
    """

    daemon_threads = True
    # Spark opens its connections all at once, and one that finds the queue full waits for a second.
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)

    @property
    def address(self) -> str:
        """Where it answers, as a URL."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has hung up, as Spark does with each connection of a pool it gives up.

        :param request: its connection.
        :param client_address: where it is.
        """
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
