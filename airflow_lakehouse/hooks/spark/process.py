"""Tell one process from another that has inherited its number."""

from __future__ import annotations

import subprocess
from pathlib import Path

_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Processes this one started. Whoever starts a process must collect it, or it stays as a zombie."""

_STATE, _START = 0, 19
"""Fields of /proc/PID/stat after the command's name: state, and start time in ticks since boot."""


def remember(process: subprocess.Popen[bytes]) -> None:
    """Keep a child so that :func:`reap` can collect it.

    :param process: just started.
    """
    _CHILDREN[process.pid] = process


def reap(pid: int) -> int | None:
    """Collect a child that has ended.

    :param pid: process id.
    :return: its exit code, negative for a signal; None while it runs, or when it is another process's child.
    """
    child = _CHILDREN.get(pid)
    if child is None or child.poll() is None:
        return None
    del _CHILDREN[pid]
    return child.returncode


def find_process(pid: int) -> str | None:
    """Return what tells this process from an earlier or later one of the same id: boot and start time.

    :param pid: process id.
    :return: None when there is no such process, or only a zombie of it.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _ask_ps(pid)
    except ProcessLookupError:
        return None
    # The command's name may hold blanks and brackets; everything after the last bracket is well-formed.
    fields = text.rpartition(")")[2].split()
    return None if fields[_STATE] in "ZX" else f"{boot}:{fields[_START]}"


def is_running(pid: int, process: str | None) -> bool:
    """Tell whether the very process that was started still runs.

    :param pid: its id.
    :param process: what :func:`find_process` gave when it was started.
    """
    return process is not None and find_process(pid) == process


def _ask_ps(pid: int) -> str | None:
    """Where there is no /proc (macOS), ``ps`` knows the same."""
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()
