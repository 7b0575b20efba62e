"""What the project says about itself is true: entry points, commands in documents."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

CORE = {"apache-airflow", "apache-airflow-providers-amazon", "pluggy", "pyiceberg"}


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    """Return the ``[project]`` table."""
    found: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return found


def test_the_core_needs_four_packages(project: dict[str, Any]) -> None:
    """Adding this to a deployment brings nothing else: everything more is an extra."""
    assert {re.split(r"[\[<>=]", line)[0] for line in project["dependencies"]} == CORE


def test_entry_points_lead_somewhere(project: dict[str, Any]) -> None:
    """Airflow, pytest and the parser registry find what the metadata promises."""
    for group, points in project["entry-points"].items():
        for name, target in points.items():
            assert EntryPoint(name, target, group).load() is not None


def test_constraints_hold_on_every_python(root: Path, project: dict[str, Any]) -> None:
    """Every direct dependency is held, each at one version, and no machine or index is named."""
    lines = (root / "constraints" / "local.txt").read_text().splitlines()
    pinned = {line.split("==")[0].split("[")[0].lower() for line in lines if "==" in line}
    assert [line for line in lines if line and not re.match(r"[a-z0-9.\[\],_-]+==\S+( ; .+)?$", line)] == []
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    direct = {re.split(r"[\[<>=]", line)[0].lower() for line in (*project["dependencies"], *extras)}
    assert direct - {"airflow-lakehouse"} - pinned == set()


def test_make_help_names_every_target(root: Path) -> None:
    """The help is the front door: it shows each command with what it does."""
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    phony = re.search(r"^\.PHONY: (.+)$", (root / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert [name for name in phony.group(1).split() if f"make {name} " not in shown] == []


def test_documents_name_commands_that_exist(texts: dict[str, str]) -> None:
    """A reader can type every ``lakehouse`` and ``make`` command that a document shows in code."""
    targets = set(re.findall(r"^([a-z-]+):", texts["Makefile"], re.MULTILINE))
    wrong = {}
    for name, text in texts.items():
        if not name.endswith((".md", "compose.yaml", "Dockerfile")):
            continue
        code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)) if name.endswith(".md") else text
        used = set(re.findall(r"(?:^|[`/]|\$ |exec scheduler |RUN |&& )lakehouse ([a-z][a-z-]+)\b", code, re.MULTILINE))
        made = set(re.findall(r"(?:^|[`]|\$ )make ([a-z][a-z-]+)\b", code, re.MULTILINE))
        if strangers := (used - set(COMMANDS)) | (made - targets):
            wrong[name] = strangers
    assert wrong == {}


@pytest.mark.parametrize("script", ["tools/setup.sh", "tools/lock.sh", ".ci/run"])
def test_scripts_parse_and_may_be_run(script: str, root: Path) -> None:
    """Each script is executable and has no syntax error."""
    path = root / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)
