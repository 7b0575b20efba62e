"""Environments of their own for the tools that ours is measured beside."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def python_with(folder: Path, *packages: str) -> Path:
    """Return the Python of an environment with some packages, which is made if it is not there.

    :param folder: of the environment.
    :param packages: to be installed.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def lines_of(command: list[str | Path], **environment: str) -> list[str]:
    """Return what a command prints, line by line.

    :param command: to be run.
    :param environment: beside this process's own.
    """
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    if done.returncode:
        print(f"{command[1]} {command[2]} ended with {done.returncode}", file=sys.stderr)
    return done.stdout.splitlines()
