"""The environment dbt lives in: its own, so that Airflow's pins and dbt's never meet.

It is made once from ``requirements.lock``, which holds dbt, dbt-spark and Spark's client without a JVM, and used
by every run. Its name carries a hash of all that went into it: another lock file makes another environment.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT_VARIABLE: Final = "LAKEHOUSE_DBT_ENV"
"""Environment variable with the path of an environment made before, such as in a container image."""

LOCK_FILE: Final = Path(__file__).with_name("requirements.lock")
_LAUNCHER: Final = Path(__file__).with_name("launcher.py")
_STAMP: Final = ".airflow-lakehouse"
"""File in the environment: 'building' while it is made, then the hash of what it was made from."""
_BUILDING: Final = "building"


@dataclass(frozen=True, slots=True)
class DbtEnvironment:
    """An environment with dbt in it.

    :param path: its directory.
    """

    path: Path

    @property
    def dbt(self) -> Path:
        """The program to start: ours, or plain ``dbt`` in an environment somebody else made."""
        ours = self.path / "bin" / "lakehouse-dbt"
        plain = self.path / "bin" / "dbt"
        return plain if plain.exists() and not ours.exists() else ours


def environment_path() -> Path:
    """Return where the environment is, or will be; nothing is created."""
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    shared = Path(sys.prefix) / "share"
    existing = next(parent for parent in (shared, *shared.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        # Airflow's environment belongs to root in most images, and tasks run as somebody else.
        shared = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return shared / "airflow-lakehouse" / f"dbt-{_fingerprint()[:12]}"


def ensure_environment(path: Path | None = None) -> DbtEnvironment:
    """Return the environment; make it if it is not there.

    Two processes that ask at once make one: the second waits for the first.

    :param path: its directory; by default ``LAKEHOUSE_DBT_ENV``, else below this Python's own prefix.
    :raises SetupError: when it cannot be made; the message says how to bring one along instead.
    """
    target = (path or environment_path()).absolute()
    if _is_ready(target):
        return DbtEnvironment(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(f"{target.name}.lock")):
            if not _is_ready(target):
                _make(target)
    except OSError as error:
        raise SetupError(
            f"the dbt environment {target} cannot be made: {error.strerror or error}", remedy=_REMEDY
        ) from error
    return DbtEnvironment(target)


_REMEDY: Final = (
    f"give pip an index it reaches (PIP_INDEX_URL, UV_INDEX_URL) and repeat; on a closed network run"
    f" 'lakehouse dbt-env --path DIR' on a machine of the same kind, copy DIR to the same path here and set"
    f" {ENVIRONMENT_VARIABLE}=DIR"
)


def _fingerprint() -> str:
    parts = (
        LOCK_FILE.read_bytes(),
        _LAUNCHER.read_bytes(),
        f"{sys.version_info.major}.{sys.version_info.minor}".encode(),
    )
    return sha256(b"\0".join(parts)).hexdigest()


def _is_ready(target: Path) -> bool:
    stamp = target / _STAMP
    if stamp.is_file():
        return stamp.read_text().strip() == _fingerprint()
    # An environment without our stamp is somebody's own: theirs to keep right.
    return (target / "bin" / "dbt").exists()


def _make(target: Path) -> None:
    if target.exists() and any(target.iterdir()):
        if not (target / _STAMP).is_file():
            raise SetupError(
                f"{target} is not empty and holds no dbt",
                legal="a new or empty directory, or a Python environment with dbt",
            )
        # Left by a run that was killed, or made from another lock file.
        shutil.rmtree(target)
    target.mkdir(exist_ok=True)
    (target / _STAMP).write_text(_BUILDING)
    log = target.with_name(f"{target.name}.log")
    with log.open("wb") as output:
        for command in install_commands(target, "--requirement", str(LOCK_FILE)):
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=clean_environ(), check=False)
            if done.returncode:
                message = f"the dbt environment {target} cannot be made: {Path(command[0]).name} failed (log: {log})"
                raise SetupError(message, remedy=_REMEDY)
    _write_launcher(target)
    (target / _STAMP).write_text(_fingerprint())
    log.unlink()


def install_commands(target: Path, *what: str) -> list[list[str]]:
    """Return the commands that make an environment, with uv where it is installed, else with pip.

    :param target: its directory.
    :param what: requirements, or options that name them.
    """
    python = str(target / "bin" / "python")
    uv = shutil.which("uv")
    if uv:
        return [
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(target)],
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *what],
        ]
    return [
        [sys.executable, "-m", "venv", str(target)],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what],
    ]


def _write_launcher(target: Path) -> None:
    shutil.copyfile(_LAUNCHER, target / "lakehouse_dbt.py")
    program = target / "bin" / "lakehouse-dbt"
    # A shell line, not "#!<python>": the kernel cuts that short, and environments lie deep.
    program.write_text(f'#!/bin/sh\nexec "{target}/bin/python" -P "{target}/lakehouse_dbt.py" "$@"\n', encoding="utf-8")
    program.chmod(0o755)


def clean_environ() -> dict[str, str]:
    """Return this process's environment without what would lead pip into Airflow's own packages."""
    return {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time into the block.

    :param path: a file; made where it is not there.
    """
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
