"""A REST catalog over another one, for reading: as Iceberg's ``rest-catalog-open-api.yaml`` has it, with OAuth2."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from pyiceberg.exceptions import NoSuchTableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.catalog import Catalog


class RestCatalogServer:
    """The server and what it was asked.

    :param behind: the catalog it reads.
    """

    def __init__(self, behind: Catalog) -> None:
        self.behind = behind
        self.token = "first-token"
        self.client = ("reader", "its-secret")
        self.issued = 0
        self.refused = 0
        self.address = ""

    def expire(self) -> None:
        """Let the token in use be no longer good."""
        self.token = f"token-{self.issued}-{self.refused}"

    def answer(self, path: str, authorization: str | None) -> tuple[int, dict[str, Any]]:
        """Answer a GET."""
        if authorization != f"Bearer {self.token}":
            self.refused += 1
            return 401, _error("NotAuthorizedException", 401)
        if path == "/v1/config":
            return 200, {"defaults": {}, "overrides": {}}
        parts = [unquote(part) for part in path.split("/")]
        try:
            table = self.behind.load_table((parts[3], parts[5]))
        except (NoSuchTableError, IndexError):
            return 404, _error("NoSuchTableException", 404)
        location = table.metadata_location
        return 200, {
            "metadata-location": location,
            "metadata": json.loads(table.metadata.model_dump_json()),
            "config": {},
        }

    def issue(self, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """Give a client its token."""
        if (form["client_id"][0], form["client_secret"][0]) != self.client:
            return 401, _error("NotAuthorizedException", 401)
        self.issued += 1
        return 200, {"access_token": self.token, "token_type": "bearer", "expires_in": 3600}


def _error(kind: str, code: int) -> dict[str, Any]:
    return {"error": {"message": "no", "type": kind, "code": code}}


@contextmanager
def rest_catalog(behind: Catalog) -> Iterator[RestCatalogServer]:
    """Run the server on the loopback address."""
    catalog = RestCatalogServer(behind)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*catalog.answer(urlsplit(self.path).path, self.headers.get("Authorization")))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._send(*catalog.issue(parse_qs(body)))

        def _send(self, status: int, payload: dict[str, Any]) -> None:
            body = json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    catalog.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield catalog
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
