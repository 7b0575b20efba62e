"""An S3 that misbehaves: a proxy before a real server, which throttles, loses answers, cuts bodies and hides objects.

Glue behind the same address misbehaves too: to a rule, a request to it is about its operation, as in
``/AWSGlue.UpdateTable``.

It speaks plain HTTP on the loopback address and passes requests on byte for byte, ``Host`` header included, so that
signatures (SigV4) made for the proxy's address hold at the server. Faults are rules, seeded and counted::

    def test_load(s3_faults):
        s3_faults.throttle(0.3)
        s3_faults.lose_responses(times=1, methods=["PUT"], keys=r"metadata[.]json$")
        client = boto3.client("s3", endpoint_url=s3_faults.endpoint)
        ...
        assert s3_faults.counts["lost response"] == 1

What each fault looks like on the wire follows https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and
https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-exceptions.html.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import threading
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

from airflow_lakehouse.testing.loopback import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

THROTTLED: Final = "throttled"
LOST: Final = "lost response"
TRUNCATED: Final = "truncated"
EXPIRED: Final = "expired token"
OUTRUN: Final = "outrun"
HIDDEN: Final = "hidden from a listing"
REPEATED: Final = "repeated in a listing"
_BEFORE: Final = {THROTTLED: (503, "SlowDown", "Please reduce your request rate."), EXPIRED: (400, "ExpiredToken", "")}
_GLUE_BEFORE: Final = {
    THROTTLED: "ThrottlingException",
    EXPIRED: "ExpiredTokenException",
    OUTRUN: "ConcurrentModificationException",
}
_TARGET: Final = "X-Amz-Target"
"""Header that names the operation of a request to Glue, which S3's do not have."""
_HOP_BY_HOP: Final = ("connection", "expect", "keep-alive", "transfer-encoding")
_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_OK: Final = range(200, 300)
_SECONDS: Final = 30


@dataclass
class Rule:
    """One fault, and which requests it befalls.

    :param fault: which.
    :param probability: how often, 0 to 1, of the requests it is about.
    :param times: how many more times; None without end.
    :param after: another fault; only once that has befallen a request since the rule was made.
    :param methods: HTTP methods; empty for all.
    :param keys: pattern that is searched in ``/bucket/key``; in a listing, in each key; for Glue, in ``/AWSGlue.`` and
        the operation.
    """

    fault: str
    probability: float = 1.0
    times: int | None = None
    after: str = ""
    methods: tuple[str, ...] = ()
    keys: re.Pattern[str] = field(default_factory=lambda: re.compile(""))

    def is_about(self, fault: str, method: str, key: str) -> bool:
        """Tell whether the rule is about a request.

        :param fault: fault that could befall it.
        :param method: its method.
        :param key: what it is about.
        """
        is_due = self.times is None or self.times > 0
        return self.fault == fault and is_due and method in (self.methods or (method,)) and bool(self.keys.search(key))


class S3Faults:
    """The faults of a proxy, and what has happened.

    :param endpoint: address to give to clients.
    :param upstream: address of the server; may be set to another one's between requests.
    :param seed: of the dice; the same requests in the same order meet the same faults.
    """

    def __init__(self, endpoint: str, upstream: str, seed: int = 0) -> None:
        self.endpoint, self.upstream = endpoint, upstream
        self.counts: Counter[str] = Counter()
        """Fault to how often it befell a request."""
        self.requests: Counter[str] = Counter()
        """Method to requests that came."""
        self.bytes: Counter[str] = Counter()
        """``read`` and ``written``: bytes of bodies that the server sent, and was sent."""
        self._rules: list[Rule] = []
        self._waiting: dict[str, list[Rule]] = defaultdict(list)
        self._dice = random.Random(seed)  # noqa: S311 - no secret
        self._lock = threading.Lock()

    def throttle(self, probability: float = 1.0, **which: Any) -> None:
        """Answer 503 ``SlowDown``, as Glue 400 ``ThrottlingException``, without passing the request on.

        :param probability: see :class:`Rule`; ``times``, ``after``, ``methods`` and ``keys`` too.
        """
        self._add(THROTTLED, probability, **which)

    def lose_responses(self, probability: float = 1.0, **which: Any) -> None:
        """Pass the request on, and hang up instead of answering that it was done.

        :param probability: see :class:`Rule`; ``times``, ``after``, ``methods`` and ``keys`` too.
        """
        self._add(LOST, probability, **which)

    def truncate(self, probability: float = 1.0, **which: Any) -> None:
        """Hang up in the middle of the body of an answer.

        :param probability: see :class:`Rule`; ``times``, ``after``, ``methods`` and ``keys`` too.
        """
        self._add(TRUNCATED, probability, **which)

    def expire_token(self, probability: float = 1.0, **which: Any) -> None:
        """Answer 400 ``ExpiredToken``, as S3 does once temporary credentials are over; Glue, ``ExpiredTokenException``.

        :param probability: see :class:`Rule`; ``times``, ``after``, ``methods`` and ``keys`` too.
        """
        self._add(EXPIRED, probability, **which)

    def outrun(self, times: int | None = None, operation: str = "UpdateTable") -> None:
        """Answer ``ConcurrentModificationException``, as Glue does to a commit that another one was faster than.

        :param times: how often; None without end.
        :param operation: of Glue.
        """
        self._add(OUTRUN, 1.0, times=times, keys=f"^/AWSGlue[.]{operation}$")

    def hide(self, probability: float = 1.0, **which: Any) -> None:
        """Leave objects out of listings, as a store does that shows them late; they can still be read.

        :param probability: see :class:`Rule`, by object; ``times`` and ``keys`` too.
        """
        self._add(HIDDEN, probability, **which)

    def repeat(self, probability: float = 1.0, **which: Any) -> None:
        """List objects twice, as pages do between which objects have moved.

        :param probability: see :class:`Rule`, by object; ``times`` and ``keys`` too.
        """
        self._add(REPEATED, probability, **which)

    def stop(self) -> None:
        """Drop all rules: from now on, the server is itself. Counts are kept."""
        with self._lock:
            self._rules.clear()
            self._waiting.clear()

    def _add(
        self, fault: str, probability: float, *, methods: Iterable[str] = (), keys: str = "", **which: Any
    ) -> None:
        rule = Rule(fault, probability, methods=tuple(methods), keys=re.compile(keys), **which)
        with self._lock:
            (self._waiting[rule.after] if rule.after else self._rules).append(rule)

    def count_request(self, method: str, size: int) -> None:
        """Count a request that came.

        :param method: its method.
        :param size: bytes of its body.
        """
        with self._lock:
            self.requests[method] += 1
            self.bytes["written"] += size

    def count_answer(self, size: int) -> None:
        """Count what the server sent.

        :param size: bytes of the body.
        """
        with self._lock:
            self.bytes["read"] += size

    def befalls(self, fault: str, method: str, key: str) -> bool:
        """Throw the dice for a request, and count.

        :param fault: which fault could befall it.
        :param method: its method.
        :param key: what it is about.
        """
        with self._lock:
            for rule in self._rules:
                if rule.is_about(fault, method, key) and self._dice.random() < rule.probability:
                    rule.times = None if rule.times is None else rule.times - 1
                    self.counts[fault] += 1
                    self._rules += self._waiting.pop(fault, [])
                    return True
        return False


@contextmanager
def s3_fault_proxy(upstream: str, seed: int = 0) -> Iterator[S3Faults]:
    """Run a proxy before an S3 server.

    :param upstream: address of the server, ``http://host:port``.
    :param seed: see :class:`S3Faults`.
    """
    server = LoopbackServer(_Handler)
    faults = S3Faults(server.address, upstream, seed)
    vars(server)["faults"] = faults
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS
    # Head and body in one packet: in two, the second waits for the client to acknowledge the first.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Say nothing: a test's output is no access log."""

    def handle_expect_100(self) -> bool:
        """Say at once that the body may come; boto3 would wait a second for it."""
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def _serve(self) -> None:
        faults: S3Faults = vars(self.server)["faults"]
        operation = self.headers.get(_TARGET)
        key = f"/{operation}" if operation else urlsplit(self.path).path
        body = self._body()
        faults.count_request(self.command, len(body))
        refused = next((fault for fault in _GLUE_BEFORE if faults.befalls(fault, self.command, key)), None)
        if refused:
            self._answer(*_refusal(refused, for_glue=bool(operation)))
            return
        status, headers, content = self._upstream(body)
        faults.count_answer(len(content))
        if status in _OK and faults.befalls(LOST, self.command, key):
            self._hang_up()
            return
        if self._is_listing() and status in _OK:
            content = _listing(faults, content)
        is_cut = bool(content) and status in _OK and faults.befalls(TRUNCATED, self.command, key)
        self._answer(status, headers, content, sent=len(content) // 2 if is_cut else None)

    # One for each method of S3's API; the base class looks them up by name.
    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _upstream(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = urlsplit(vars(self.server)["faults"].upstream)
        connection = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=_SECONDS)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in (*_HOP_BY_HOP, "content-length"):
                    connection.putheader(name, value)
            if body or self.command in ("PUT", "POST"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _is_listing(self) -> bool:
        asked = urlsplit(self.path)
        is_bucket = "/" not in asked.path.strip("/")
        return self.command == "GET" and is_bucket and "list-type" in parse_qs(asked.query, keep_blank_values=True)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, *, sent: int | None = None) -> None:
        """Answer; with ``sent``, promise the whole and hang up after so many bytes."""
        self.send_response_only(status)
        length = next((value for name, value in headers if name.lower() == "content-length"), "0")
        for name, value in headers:
            if name.lower() not in (*_HOP_BY_HOP, "content-length"):
                self.send_header(name, value)
        # The answer to HEAD tells the length of what it does not send.
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content if sent is None else content[:sent])
        self.wfile.flush()
        if sent is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _refusal(fault: str, *, for_glue: bool) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body of an answer of the server's own kind."""
    if for_glue:
        code = _GLUE_BEFORE[fault]
        return 400, [("Content-Type", "application/x-amz-json-1.1")], f'{{"__type": "{code}", "Message": ""}}'.encode()
    status, code, message = _BEFORE[fault]
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, [("Content-Type", "application/xml")], text.encode()


def _listing(faults: S3Faults, content: bytes) -> bytes:
    """Return a listing (ListObjectsV2) with objects left out, and objects in it twice."""
    ET.register_namespace("", _NAMESPACE)
    root = ET.fromstring(content)  # noqa: S314 - from the server the test has started
    tag = root.tag.replace("ListBucketResult", "Contents")
    for item in root.findall(tag):
        key = item.findtext(tag.replace("Contents", "Key")) or ""
        if faults.befalls(HIDDEN, "GET", key):
            root.remove(item)
        elif faults.befalls(REPEATED, "GET", key):
            root.append(item)
    count = root.find(tag.replace("Contents", "KeyCount"))
    if count is not None:
        count.text = str(len(root.findall(tag)))
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
