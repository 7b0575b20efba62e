"""What may not be in any file of the project: this machine, anybody's registry, a secret, or a name that misleads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

# Folders of somebody's machine. In pieces, so that this file passes its own check.
_FOLDERS = ("wo" + "rk", "ro" + "ot", "Us" + "ers", "tm" + "p/[a-z]{1,3}", "home/(?!lakehouse)[a-z]")
_MACHINE = re.compile(rf"(?<![\w.}}>])/(?:{'|'.join(_FOLDERS)})/\w")
_INDEX = re.compile(r"--(?:extra-)?index-url[= ]+https?:|--find-links[= ]+\S|^\s*registry\s*=\s*http", re.MULTILINE)
_SECRET = re.compile(r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@'\"{}$<>]+:[^/\s:@'\"{}$<>]+@")
_PUBLIC = {"pypi.org", "files.pythonhosted.org", "registry.npmjs.org", "repo1.maven.org", "repo.maven.apache.org"}


def test_no_path_of_a_machine(texts: dict[str, str]) -> None:
    """A path of the machine it was written on works there and nowhere else."""
    found = {name: match.group() for name, text in texts.items() if (match := _MACHINE.search(text))}
    assert not found


def test_no_package_index(texts: dict[str, str]) -> None:
    """Which index packages come from is the installing machine's own matter."""
    hosts = _configured_hosts() - _PUBLIC
    found = {
        name
        for name, text in texts.items()
        if any(host in text for host in hosts) or (name != "tests/contract/test_files.py" and _INDEX.search(text))
    }
    assert not found


def test_no_secret(texts: dict[str, str]) -> None:
    """No key, no password in an address."""
    found = {name for name, text in texts.items() if _SECRET.search(text)}
    assert not found


def test_no_dag_is_called_dbt(all_files: list[Path]) -> None:
    """Python puts a script's folder first on its path: a ``dbt_x.py`` there has been taken for part of dbt."""
    assert not [path for path in all_files if path.match("dbt_*.py") and path.parent.name == "example_dags"]


def test_nothing_large_is_kept(all_files: list[Path]) -> None:
    """A clone stays small: input is generated or read from beside the project."""
    limit = 512 * 1024
    assert not [path for path in all_files if path.stat().st_size > limit]


def _configured_hosts() -> set[str]:
    """Return the hosts this machine gets its packages from, by its environment and by pip's own configuration."""
    values = [value for name, value in os.environ.items() if "INDEX" in name or "REGISTRY" in name]
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    values += re.findall(r"https?://[^'\"\s]+", listed.stdout)
    return {host for value in values if (host := urlsplit(value).hostname) and "." in host}
