"""Run jobs as processes of this machine that outlive the worker which asked for them.

Each job has a directory, named after its token, with everything that is known about it::

    <jobs directory>/<token>/
      arguments.json   what the job was given
      job.json         process id, when that process started, command
      log              its standard output and error
      result.json      written by the job itself, also when it fails
      cancelled        somebody asked for it to be stopped

A worker that dies leaves the job running in a session of its own. Its next attempt computes the same token, finds
the directory and waits on. The directories hold no record text; the log may, so it is readable by its user alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_lakehouse.exceptions import EngineError, JobError, JobLostError
from airflow_lakehouse.hooks.spark.base import JobHandle, JobState, JobStatus, check_token
from airflow_lakehouse.hooks.spark.log_lines import failure, own_lines
from airflow_lakehouse.hooks.spark.process import find_process, is_running, reap, remember

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

JOBS_VARIABLE: Final = "LAKEHOUSE_JOBS_DIR"
"""Environment variable with the directory that holds the jobs' directories."""
JOB_MODULE: Final = "airflow_lakehouse.spark.jobs"

_KEEP_SECONDS: Final = 30 * 24 * 3600
_EXIT_SECONDS: Final = 30
_NOTE_SECONDS: Final = 10
_PID: Final = "pid"
_ALIVE: Final = "alive.lock"
_NOTE_PID: Final = 'echo $$ > "$0.partial" && mv "$0.partial" "$0" && exec "$@"'
_LOG_BYTES: Final = 256 * 1024
# Airflow's secrets and the pipes of the task that submits are none of the job's business. Nor is the mark pyspark sets
# where this process has a session over Connect: under spark-submit the job would look for that server, in vain.
_PRIVATE = (
    *("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "AIRFLOW_CTX_", "_AIRFLOW", "__AIRFLOW"),
    "SPARK_CONNECT_MODE_ENABLED",
)


@dataclass(frozen=True)
class LocalRunner:
    """Jobs on this machine.

    :param root: directory of the jobs' directories; by default ``LAKEHOUSE_JOBS_DIR``, else one in the user's state
        directory.
    :param command: what starts a job; its name, ``--arguments FILE`` and ``--result FILE`` follow.
    :param grace_seconds: how long a cancelled job may take to end by itself before it is killed.
    """

    name: ClassVar[str] = "local"
    is_near: ClassVar[bool] = True
    """To look at a job asks no service: a triggerer need not save calls."""
    root: Path | None = None
    command: tuple[str, ...] = field(default=(sys.executable, "-m", JOB_MODULE))
    grace_seconds: float = 15.0

    def __post_init__(self) -> None:
        """Take what JSON makes of a path and a tuple, too."""
        object.__setattr__(self, "root", Path(self.root) if self.root else None)
        object.__setattr__(self, "command", tuple(self.command))

    def options(self) -> dict[str, Any]:
        """Return what builds this runner again, as JSON values."""
        root = str(self.root) if self.root else None
        return {"root": root, "command": list(self.command), "grace_seconds": self.grace_seconds}

    def submit(self, job: str, arguments: Mapping[str, Any], token: str) -> JobHandle:
        """Start a job as a process of its own, or return the one that was started under the token.

        :param job: name of the job.
        :param arguments: JSON values for it.
        :param token: 8 to 64 hexadecimal digits.
        :raises EngineError: when the process cannot be started.
        """
        directory = self._directory(token)
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Two attempts of one task may overlap for a moment; only one of them may start the job.
            with _locked(directory / "submit.lock"):
                if not (directory / "job.json").is_file() and not _adopt(directory, job):
                    _prune(directory.parent)
                    self._start(directory, job, arguments)
        except OSError as error:
            raise EngineError(
                f"job {job!r} cannot be started in {directory}: {error.strerror or error}",
                remedy=f"free space or mend permissions there, or set {JOBS_VARIABLE} to another directory",
            ) from error
        return self._handle(directory, job)

    def find(self, token: str) -> JobHandle | None:
        """Return the job that was started under a token, or None.

        :param token: as given to :meth:`submit`.
        """
        directory = self._directory(token)
        record = _read_json(directory / "job.json")
        return self._handle(directory, record["job"]) if record else None

    def status(self, handle: JobHandle) -> JobStatus:
        """Tell where a job stands.

        :param handle: the job.
        :raises JobError: when it runs on another machine, or its directory is gone.
        """
        directory = _reachable(handle)
        # The process first, the result second: the other way round, a job that ends in between looks as if it
        # had ended without a result.
        running = self._is_running(directory)
        result = _read_json(directory / "result.json")
        if running and not _is_overdue(directory / "result.json"):
            return JobStatus(JobState.RUNNING)
        if result is not None and result.get("status") != "failed":
            return JobStatus(JobState.SUCCEEDED)
        if (directory / "cancelled").exists():
            return JobStatus(JobState.CANCELLED, "it was stopped", "JobCancelledError")
        if result is None:
            return JobStatus(JobState.FAILED, *_crash(directory))
        return JobStatus(JobState.FAILED, str(result.get("error", "")), str(result.get("error_type", "")))

    def cancel(self, handle: JobHandle) -> None:
        """Ask a job to end, and kill it and its children if it does not. One that has ended is left alone.

        :param handle: the job.
        :raises JobError: when it runs on another machine, or its directory is gone.
        """
        directory = _reachable(handle)
        if not self._is_running(directory):
            return
        (directory / "cancelled").touch()
        # The job leads its own process group, so its id is the group's; the start time has just been checked.
        group = int(_read_json(directory / "job.json", {})["pid"])
        for number, seconds in ((signal.SIGTERM, self.grace_seconds), (signal.SIGKILL, 5.0)):
            with suppress(ProcessLookupError):
                os.killpg(group, number)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if not self._is_running(directory):
                    return
                time.sleep(0.05)

    def follow_logs(self, handle: JobHandle, position: int) -> tuple[list[str], int]:
        """Return this package's own log lines since a position; what Spark or Python print stays in the file.

        A Spark error quotes the value it stumbled over, and that may be a patient's.

        :param handle: the job.
        :param position: bytes already read.
        """
        try:
            with (Path(handle.location) / "log").open("rb") as log:
                log.seek(position)
                read = log.read(_LOG_BYTES)
        except OSError:
            return [], position
        # A line that is still being written is left for the next call, unless it fills the whole window.
        whole = read[: read.rfind(b"\n") + 1] or (read if len(read) == _LOG_BYTES else b"")
        return own_lines(whole.decode("utf-8", "replace")), position + len(whole)

    def result(self, handle: JobHandle) -> dict[str, Any]:
        """Return what a job that succeeded reported.

        :param handle: the job.
        :raises JobError: when it left no result.
        """
        directory = _reachable(handle)
        result = _read_json(directory / "result.json")
        if result is None:
            raise JobLostError(_crash(directory)[0], remedy=f"read {directory / 'log'}")
        return dict(result)

    def links(self, handle: JobHandle) -> dict[str, str]:  # noqa: ARG002 - as every runner's
        """Return nothing: what there is to see is on this machine's disk."""
        return {}

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether jobs can be kept here."""
        root = (self.root or default_root()).absolute()
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            return False, f"jobs cannot be kept in {root}: {error.strerror}"
        return os.access(root, os.W_OK), f"jobs run on {socket.gethostname()}, with their directories in {root}"

    def _start(self, directory: Path, job: str, arguments: Mapping[str, Any]) -> None:
        given, result = directory / "arguments.json", directory / "result.json"
        given.write_text(json.dumps(dict(arguments), sort_keys=True))
        command = [*self.command, job, "--arguments", str(given), "--result", str(result)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}
        # The process notes its own number and holds a lock as long as it lives: should this one be killed before it
        # has written anything, the next attempt finds both, and starts no second job.
        noting = ("/bin/sh", "-c", _NOTE_PID, str(directory / _PID))
        # Closed here whatever happens: where there is no process to hold it, the next attempt must not wait for it.
        with (
            _locked(directory / _ALIVE) as alive,
            os.fdopen(os.open(directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log,
        ):
            process = subprocess.Popen(
                [*noting, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, "PYTHONUNBUFFERED": "1"},
                # A session of its own: signals for the worker's group must not reach the job.
                start_new_session=True,
                pass_fds=(alive,),
            )
        remember(process)
        _record(directory, job, process.pid, find_process(process.pid))

    def _is_running(self, directory: Path) -> bool:
        record = _read_json(directory / "job.json", {})
        if "pid" not in record:
            return False
        exit_code = reap(record["pid"])
        if exit_code is not None:
            (directory / "exit_code").write_text(str(exit_code))
        return is_running(record["pid"], record["process"])

    def _handle(self, directory: Path, job: str) -> JobHandle:
        return JobHandle(self.name, directory.name, job, str(directory), socket.gethostname())

    def _directory(self, token: str) -> Path:
        return (self.root or default_root()).absolute() / check_token(token)


def _record(directory: Path, job: str, pid: int, process: str | None) -> None:
    """Write down which process a job is; from then on it is found."""
    record = {"job": job, "pid": pid, "process": process, "submitted_at": datetime.now(UTC).isoformat()}
    partial = directory / "job.json.partial"
    partial.write_text(json.dumps(record))
    partial.replace(directory / "job.json")


def _adopt(directory: Path, job: str) -> bool:
    """Write down the process that somebody started here who was killed before writing it down; tell whether there was.

    :param directory: of a job without a record.
    :param job: its name.
    """
    noted = directory / _PID
    is_alive = _is_held(directory / _ALIVE)
    deadline = time.monotonic() + _NOTE_SECONDS
    # It notes its number before anything else, but only once it has a turn on the processor.
    while is_alive and not noted.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
        is_alive = _is_held(directory / _ALIVE)
    if not noted.is_file():
        return False
    pid = int(noted.read_text())
    # Of one that has ended, its result tells the rest; its number may be another process's by now.
    _record(directory, job, pid, find_process(pid) if is_alive else None)
    return True


def _is_held(lock: Path) -> bool:
    """Tell whether a process holds a lock."""
    try:
        handle = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def default_root() -> Path:
    """Return the directory of this user's jobs."""
    given = os.environ.get(JOBS_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "airflow-lakehouse" / "jobs"


def _reachable(handle: JobHandle) -> Path:
    if handle.host and handle.host != socket.gethostname():
        raise JobError(
            f"job {handle.job_id[:12]} runs on {handle.host}, this is {socket.gethostname()}",
            remedy="keep worker and triggerer on one machine for the local runner, or set deferrable=False",
        )
    directory = Path(handle.location)
    if not directory.is_dir():
        raise JobLostError(f"job directory {directory} is gone", remedy="clear the task to run the job again")
    return directory


def _crash(directory: Path) -> tuple[str, str]:
    """Return why a job left no result, and the name of the error class for it."""
    log = directory / "log"
    code = None
    with suppress(OSError, ValueError):
        code = int((directory / "exit_code").read_text())
    if code is not None and code < 0:
        why = "perhaps the machine ran out of memory" if code == -signal.SIGKILL else "somebody or something stopped it"
        said = f"the job was ended by {signal.Signals(-code).name} ({why}); its log is {log}"
        return said, JobLostError.__name__
    ended = "ended" if code is None else f"ended with exit code {code}"
    return failure(f"the job {ended} and left no result; its log is {log}", _tail(log))


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _LOG_BYTES))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _is_overdue(result: Path) -> bool:
    """Whether a job wrote its result long ago and still does not end: it hangs at exit, and its work is done."""
    try:
        return time.time() - result.stat().st_mtime > _EXIT_SECONDS
    except FileNotFoundError:
        return False


def _prune(root: Path) -> None:
    """Remove directories of jobs that ended a month ago, so that they do not pile up for ever."""
    for directory in root.iterdir():
        with suppress(OSError):
            if (directory / "job.json").is_file() and time.time() - directory.stat().st_mtime > _KEEP_SECONDS:
                record = _read_json(directory / "job.json", {})
                if "pid" in record and not is_running(record["pid"], record["process"]):
                    shutil.rmtree(directory)


def _read_json(path: Path, default: dict[str, Any] | None = None) -> Any:
    """Return a JSON file's content; the default where the file is absent or half written."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return default


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold a lock, and yield its handle: a process that is given it holds it on."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
