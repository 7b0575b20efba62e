"""Finding a Java that Spark runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from airflow_lakehouse.exceptions import SetupError

SUPPORTED: Final = (17, 21)
"""Java releases that Spark 4.1 and Iceberg 1.11 support."""

_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_REMEDY = (
    "install a JDK 17 (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17)"
    " or set JAVA_HOME"
)


def find_java() -> str:
    """Return the path of a Java that works: ``JAVA_HOME`` first, then the PATH.

    :raises SetupError: when there is none, or only releases Spark does not run on.
    """
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    on_path = shutil.which("java")
    if on_path:
        candidates.append(on_path)
    seen = [(path, release) for path in candidates if (release := _release(path)) is not None]
    for path, release in seen:
        if release in SUPPORTED:
            return path
    legal = " or ".join(map(str, SUPPORTED))
    if seen:
        raise SetupError(f"Java {seen[0][1]} at {seen[0][0]} does not fit", legal=f"Java {legal}", remedy=_REMEDY)
    raise SetupError("no Java was found", legal=f"Java {legal}", remedy=_REMEDY)


def _release(path: str) -> int | None:
    try:
        done = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stderr + done.stdout)
    return int(found.group(1)) if found else None
