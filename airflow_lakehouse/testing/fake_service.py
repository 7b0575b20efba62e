"""What the fakes of job services share: HTTP on the loopback address, faults, and runs that live their own life."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.testing.loopback import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from airflow_lakehouse.testing.job_process import JobProcess, Local

_LOG_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 0.02
_RAISED: Final = re.compile(r"[\w.]+(?:Error|Exception)\b")


class ServiceError(Exception):
    """What a service refuses a request with.

    :param code: the service's code.
    :param message: what it says.
    :param status: of HTTP.
    """

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(code, message, status)
        self.code, self.message, self.status = code, message, status


@dataclass
class Fault:
    """What befalls the next requests.

    :param error: what they are refused with; None where they are done, and their answer is lost.
    :param times: how many.
    :param operations: which; empty for all.
    """

    error: ServiceError | None
    times: int
    operations: tuple[str, ...] = ()


class FakeService:
    """A service that misbehaves when it is told to.

    :param s3_endpoint: address of the S3 it works with.
    :param folder: folder for the files of its jobs.
    :param launcher: what starts a job.
    :param seconds: how long a run stays in each state before it is running.
    """

    def __init__(self, s3_endpoint: str, folder: Path, launcher: Callable[[Local], list[str]], seconds: float) -> None:
        self.s3_endpoint, self.folder, self.launcher, self.seconds = s3_endpoint, folder, launcher, seconds
        self.requests: Counter[str] = Counter()
        """Operation to requests that came."""
        self.endpoint = ""
        self.lock = threading.RLock()
        self._faults: list[Fault] = []

    def throttle(self, times: int, *operations: str) -> None:
        """Refuse the next requests because there are too many of them.

        :param times: how many.
        :param operations: which, such as ``GetJobRun``; all when none is named.
        """
        self.refuse(ServiceError("ThrottlingException", "Rate exceeded", 429), times, *operations)

    def expire_credentials(self, times: int, *operations: str) -> None:
        """Refuse the next requests because their token has expired.

        :param times: see :meth:`throttle`.
        :param operations: see :meth:`throttle`.
        """
        message = "The security token included in the request is expired"
        self.refuse(ServiceError("ExpiredTokenException", message, 403), times, *operations)

    def lose_responses(self, times: int, *operations: str) -> None:
        """Do what the next requests ask for, and hang up instead of answering.

        :param times: see :meth:`throttle`.
        :param operations: see :meth:`throttle`.
        """
        with self.lock:
            self._faults.append(Fault(None, times, operations))

    def refuse(self, error: ServiceError, times: int, *operations: str) -> None:
        """Refuse the next requests.

        :param error: with what.
        :param times: see :meth:`throttle`.
        :param operations: see :meth:`throttle`.
        """
        with self.lock:
            self._faults.append(Fault(error, times, operations))

    def operation(self, method: str, path: str, headers: Any) -> tuple[str, dict[str, Any]]:
        """Return the operation a request is for, and the arguments in its path.

        :param method: of HTTP.
        :param path: with the query.
        :param headers: of the request.
        """
        raise NotImplementedError

    def answer(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked for.

        :param operation: its name.
        :param arguments: of the request.
        :raises ServiceError: when the service refuses.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End every job."""
        raise NotImplementedError

    def reset(self) -> None:
        """End every job and forget everything, as if the service had just been started."""
        self.close()
        with self.lock:
            self._faults.clear()
            self.requests.clear()
            self.forget()

    def forget(self) -> None:
        """Forget the jobs."""
        raise NotImplementedError

    def befalls(self, operation: str) -> Fault | None:
        """Return the fault of a request, and count the request.

        :param operation: what it asks for.
        """
        with self.lock:
            self.requests[operation] += 1
            for fault in self._faults:
                if fault.times > 0 and operation in (fault.operations or (operation,)):
                    fault.times -= 1
                    return fault
        return None


@dataclass(frozen=True)
class States:
    """A service's words for what a run goes through."""

    waiting: tuple[str, ...]
    running: str
    stopping: str
    stopped: str
    succeeded: str
    failed: str


class FakeRun:
    """A run: it waits, becomes a process, and ends; whoever asks is told the state of now.

    :param states: the service's words.
    :param process: makes the process of an attempt.
    :param seconds: how long each state before running takes.
    :param write_log: told attempt, stream and its text while the run goes on, and at its end.
    :param attempts: how often it is started until it succeeds.
    """

    def __init__(
        self,
        states: States,
        process: Callable[[int], JobProcess],
        seconds: float,
        write_log: Callable[[int, str, bytes], None],
        attempts: int = 1,
    ) -> None:
        self._states, self._make, self._seconds = states, process, seconds
        self._write_log, self._attempts = write_log, attempts
        self._process: JobProcess | None = None
        self._stopped = threading.Event()
        self.state, self.attempt, self.exit_code = states.waiting[0], 1, 0
        self.began, self.ended = 0.0, 0.0
        self._thread = threading.Thread(target=self._live, daemon=True)

    def start(self) -> None:
        """Let it live."""
        self._thread.start()

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state not in (self._states.stopped, self._states.succeeded, self._states.failed)

    @property
    def run_seconds(self) -> float:
        """How long its processes have run."""
        return (self.ended or time.time()) - self.began if self.began else 0.0

    @property
    def last_error(self) -> str:
        """The last error its log shows, with its message: services pass it on, whatever it quotes."""
        log = b"\n".join(self._process.logs().values()).decode("utf-8", "replace") if self._process else ""
        lines = [line for line in log.splitlines() if _RAISED.match(line)]
        return lines[-1] if lines else ""

    def stop(self) -> None:
        """Stop it, as who cancels asks for; it takes a moment."""
        if self.is_active:
            self.state = self._states.stopping
            self._stopped.set()

    def kill(self) -> None:
        """Take away what it runs on."""
        if self._process is not None:
            self._process.kill()

    def join(self) -> None:
        """Stop it, and wait until all of it has ended."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(30)

    def fail(self) -> None:
        """Let it end before it begins, as for want of capacity."""
        self.state, self._attempts = self._states.failed, 0
        self.exit_code = -1

    def _live(self) -> None:
        for state in self._states.waiting:
            if not self._stopped.is_set():
                self.state = state
                self._stopped.wait(self._seconds)
        code = 1
        while code and self.attempt <= self._attempts and not self._stopped.is_set():
            code = self._run()
            if code and self.attempt < self._attempts and not self._stopped.is_set():
                self.attempt += 1
            else:
                break
        self.ended, self.exit_code = time.time(), code
        if self._stopped.is_set():
            self.state = self._states.stopped
        else:
            self.state = self._states.failed if code else self._states.succeeded

    def _run(self) -> int:
        self._process = self._make(self.attempt)
        self._process.start()
        self.began = self.began or time.time()
        if not self._stopped.is_set():
            self.state = self._states.running
        written = 0.0
        while (code := self._process.poll()) is None:
            if self._stopped.wait(_LOOK_SECONDS):
                self._process.stop()
            if time.monotonic() > written + _LOG_SECONDS:
                written = time.monotonic()
                self._log()
        # Before its state says that it has ended: whoever reads the log then reads all of it.
        self._log()
        return code

    def _log(self) -> None:
        assert self._process is not None
        # A bucket that is gone or refuses: real services go on without logs, too.
        with suppress(Exception):
            for stream, text in self._process.logs().items():
                self._write_log(self.attempt, stream, text)


def serve(service: FakeService) -> LoopbackServer:
    """Begin to serve, in a thread; the caller ends it with :func:`end`.

    :param service: what answers.
    """
    server = LoopbackServer(_Handler)
    vars(server)["service"] = service
    service.endpoint = server.address
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def end(server: LoopbackServer) -> None:
    """End a server and all jobs of its service.

    :param server: from :func:`serve`.
    """
    server.shutdown()
    server.server_close()
    vars(server)["service"].close()


def page(items: list[dict[str, Any]], given: dict[str, Any], size: int, names: Iterable[str]) -> dict[str, Any]:
    """Return one page of a listing.

    :param items: all of it.
    :param given: arguments of the request.
    :param size: how many at most.
    :param names: what the service calls the list and the token of the next page.
    """
    listed, token = names
    begin = int(given.get(token) or 0)
    rest = {token: str(begin + size)} if begin + size < len(items) else {}
    return {listed: items[begin : begin + size], **rest}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Say nothing: a test's output is no access log."""

    def _serve(self) -> None:
        service: FakeService = vars(self.server)["service"]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            operation, given = service.operation(self.command, self.path, self.headers)
            fault = service.befalls(operation)
            if fault and fault.error:
                raise fault.error
            answer = service.answer(operation, {**(json.loads(body) if body else {}), **given})
        except ServiceError as error:
            named = {"__type": error.code, "message": error.message, "Message": error.message}
            self._answer(error.status, named, error.code)
            return
        if fault:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(2)
            return
        self._answer(200, answer)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - names of the base class

    def _answer(self, status: int, content: dict[str, Any], error: str = "") -> None:
        data = json.dumps(content, default=str).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        if error:
            self.send_header("x-amzn-ErrorType", error)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
