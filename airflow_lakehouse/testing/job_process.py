"""What a fake service starts in place of a cluster: the submitted script as a process of this machine.

By default it is ``spark-submit`` of the installed pyspark, with the bundle as ``--py-files``: what runs is what was
shipped, not what is installed beside the test.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.spark.engine import jars
from airflow_lakehouse.testing.s3_server import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PASSED_ON: Final = ("PATH", "HOME", "JAVA_HOME", "LANG", "TMPDIR", "LAKEHOUSE_JARS")
"""Variables of this process that a job sees; a cluster knows nothing of the rest, and the test's must not help it."""
_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Submission:
    """What a service was asked to run.

    :param script: URI of the script.
    :param arguments: of the script.
    :param py_files: URIs of zips for Python's path.
    :param conf: Spark settings.
    :param has_iceberg: whether the engine was told to bring its own Iceberg.
    :param environ: variables the job was given.
    """

    script: str
    arguments: tuple[str, ...]
    py_files: tuple[str, ...] = ()
    conf: Mapping[str, str] = field(default_factory=dict)
    has_iceberg: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Local:
    """The files of a submission, on this machine.

    :param script: the script.
    :param py_files: the zips.
    :param submission: what was asked for.
    """

    script: Path
    py_files: tuple[Path, ...]
    submission: Submission


def spark_submit(local: Local) -> list[str]:
    """Return the command that runs a submission on Spark of this machine; it takes some seconds to start.

    :param local: what is to run.
    """
    command = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[2]"]
    command += ["--py-files", ",".join(map(str, local.py_files))] if local.py_files else []
    if local.submission.has_iceberg:
        command += ["--jars", ",".join(map(str, jars.engine_jars()))]
    conf = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", **local.submission.conf}
    command += [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
    return [*command, str(local.script), *local.submission.arguments]


def plain_python(local: Local) -> list[str]:
    """Return the command that runs a submission without Spark: for scripts that need none, in a moment.

    :param local: what is to run.
    """
    path = ":".join(map(str, local.py_files))
    # To standard output, as Spark does with all that a Python program writes.
    program = (
        "import os, runpy, sys; os.dup2(1, 2); sys.path[:0] = sys.argv.pop(1).split(':'); sys.argv[:] = sys.argv[1:]"
    )
    program += "; runpy.run_path(sys.argv[0], run_name='__main__')"
    return [sys.executable, "-c", program, path, str(local.script), *local.submission.arguments]


class JobProcess:
    """A submission as a process, and what it has written.

    :param submission: what is to run.
    :param s3_endpoint: address of S3, for the service and for the job.
    :param launcher: :func:`spark_submit`, :func:`plain_python` or the like.
    :param folder: empty folder for its files.
    """

    def __init__(
        self, submission: Submission, s3_endpoint: str, launcher: Callable[[Local], list[str]], folder: Path
    ) -> None:
        self._submission, self._s3, self._launcher, self._folder = submission, s3_endpoint, launcher, folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Fetch the files and start the process, in a session of its own."""
        self._folder.mkdir(parents=True)
        zips = tuple(self._fetched(uri) for uri in self._submission.py_files)
        local = Local(self._fetched(self._submission.script), zips, self._submission)
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {**CREDENTIALS, "AWS_ENDPOINT_URL": self._s3, "AWS_EC2_METADATA_DISABLED": "true"}
        environment |= {**self._submission.environ, "PYSPARK_PYTHON": sys.executable, "PYTHONUNBUFFERED": "1"}
        with (self._folder / "stderr").open("wb") as stderr, (self._folder / "stdout").open("wb") as stdout:
            self._process = subprocess.Popen(
                self._launcher(local),
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """Return the exit code as a shell has it, 128 and more for a signal; None while the process runs."""
        assert self._process is not None
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def kill(self) -> None:
        """Kill the process and its children at once, as the loss of a host does."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Ask the process to end, and kill it and its children if it does not."""
        self._signal(signal.SIGTERM)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
        self._signal(signal.SIGKILL)

    def logs(self) -> dict[str, bytes]:
        """Return what it has written to ``stdout`` and to ``stderr``."""
        paths = [self._folder / name for name in ("stdout", "stderr")]
        return {path.name: path.read_bytes() for path in paths if path.exists()}

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            if number is signal.SIGKILL:
                self._process.wait()

    def _fetched(self, uri: str) -> Path:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        target = self._folder / Path(key).name
        target.write_bytes(s3_client(self._s3).get_object(Bucket=bucket, Key=key)["Body"].read())
        return target


def s3_client(endpoint: str) -> Any:
    """Return a client for the S3 the fakes work with.

    :param endpoint: its address.
    """
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
    )
