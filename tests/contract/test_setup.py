"""``tools/setup.sh`` says in one line what is missing, does nothing twice, and mends what a kill left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = ("bash", "cat", "cksum", "dirname", "env", "grep", "head", "mkdir", "mktemp", "rm", "sed", "tail", "touch")
INPUTS = (
    "tools/setup.sh",
    "pyproject.toml",
    "constraints/local.txt",
    "airflow_lakehouse/dbt/requirements.lock",
    "airflow_lakehouse/spark/engine/jars.py",
)
# Stands in for uv, whose own work takes a minute and a network: what is tested is when it is asked for what.
UV = """#!/usr/bin/env bash
case "$1 $2 $3" in
  "pip install --help") echo "--group"; exit ;;
  venv*) mkdir -p .venv/bin; printf '#!/bin/sh\\nexec {python} "$@"\\n' >.venv/bin/python
         printf 'VIRTUAL_ENV=%s/.venv' "$PWD" >.venv/bin/activate ;;
  *) [ ! -e broken ] || {{ echo "no such package"; exit 7; }}
     printf '#!/bin/sh\\n' >.venv/bin/lakehouse ;;
esac
for made in .venv/bin/*; do {python} -c "import os, sys; os.chmod(sys.argv[1], 0o755)" "$made"; done
echo "$1" >>calls
"""
JAVA = """#!/usr/bin/env bash
echo 'openjdk version "{release}" 2025-10-21' >&2
"""


@dataclass
class Machine:
    """A checkout on a machine that has nothing but what a test puts there."""

    folder: Path
    checkout: Path

    def has(self, name: str, program: str) -> None:
        """Put a program on the PATH."""
        path = self.folder / "bin" / name
        path.write_text(program)
        path.chmod(0o755)

    def setup(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            [str(self.checkout / "tools" / "setup.sh")],
            env={"PATH": str(self.folder / "bin"), "HOME": str(self.folder), **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def calls(self) -> list[str]:
        """Return what uv was asked for so far."""
        return (self.checkout / "calls").read_text().split()

    @property
    def venv(self) -> Path:
        """The environment it makes."""
        return self.checkout / ".venv"


@pytest.fixture
def bare(tmp_path: Path, root: Path) -> Machine:
    """Return a machine with a shell and nothing else."""
    (tmp_path / "bin").mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, f"this test needs {name}"
        (tmp_path / "bin" / name).symlink_to(found)
    for name in INPUTS:
        target = tmp_path / "a checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, target)
    return Machine(tmp_path, tmp_path / "a checkout")


@pytest.fixture
def ready(bare: Machine) -> Machine:
    """Return a machine with Python, Java and something that is asked for what uv does."""
    bare.has("python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    bare.has("java", JAVA.format(release="17.0.15"))
    bare.has("uv", UV.format(python=sys.executable))
    return bare


def _is_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("setup: needs ")
    assert all(word in line for word in (*words, "apt-get install", "brew install")), line


def test_no_python(bare: Machine) -> None:
    """Without Python there is one line that says which and how, and no folder."""
    _is_one_line(bare.setup(), "Python 3.11, 3.12 or 3.13", "found none")
    assert not bare.venv.exists()


def test_a_python_that_is_none(bare: Machine) -> None:
    """What PYTHON names is asked, not trusted: an absent one and a program that is no Python are both said."""
    _is_one_line(bare.setup(PYTHON="python9"), "found no python9")
    bare.has("python3", "#!/bin/sh\n")
    _is_one_line(bare.setup(), "found no Python at python3")


def test_an_old_python(bare: Machine) -> None:
    """The version that was found is named: 'too old' alone would send people looking."""
    bare.has("python3", '#!/bin/sh\ncase "$2" in *platform*) echo "Python 3.9.18" ;; *) echo False ;; esac\n')
    _is_one_line(bare.setup(), "found Python 3.9.18")


@pytest.mark.parametrize(("release", "said"), [("1.8.0_452", "Java 8"), ("11.0.2", "Java 11"), ("25.0.1", "Java 25")])
def test_a_java_that_spark_does_not_run_on(ready: Machine, release: str, said: str) -> None:
    """Too old and too new alike are named before anything is installed."""
    ready.has("java", JAVA.format(release=release))
    _is_one_line(ready.setup(), "Java 17 or 21", f"found {said}")
    assert not ready.venv.exists()


def test_no_java(ready: Machine) -> None:
    """A JAVA_HOME that leads nowhere is no Java."""
    (ready.folder / "bin" / "java").unlink()
    _is_one_line(ready.setup(JAVA_HOME=str(ready.folder)), "found none")


def test_java_home_is_not_the_only_one(ready: Machine) -> None:
    """A JAVA_HOME that is too new does no harm where the PATH has one that fits."""
    home = ready.folder / "home" / "bin"
    home.mkdir(parents=True)
    ready.has("java25", JAVA.format(release="25.0.1"))
    (home / "java").symlink_to(ready.folder / "bin" / "java25")
    assert ready.setup(JAVA_HOME=str(home.parent)).returncode == 0


def test_a_second_time_does_nothing(ready: Machine) -> None:
    """Every make command sets up first, so a set-up without need must be silent; a changed lock is a need."""
    first = ready.setup()
    assert first.returncode == 0, first.stderr
    assert [line.split(" ... ")[0] for line in first.stdout.splitlines()] == [
        "setup: python environment",
        "setup: packages (a few minutes the first time)",
        "setup: jars of the Spark engine",
        "setup: environment of dbt",
    ]
    assert ready.setup().stdout == ""
    assert ready.calls() == ["venv", "pip"]
    (ready.venv / "kept").touch()
    with (ready.checkout / "constraints" / "local.txt").open("a") as lock:
        lock.write("one-more==1.0\n")
    assert ready.setup().returncode == 0
    assert ready.calls() == ["venv", "pip"] * 2
    assert (ready.venv / "kept").exists()


def test_a_killed_installation_is_made_anew(ready: Machine) -> None:
    """Packages half written look installed: nothing of that environment may be used again."""
    assert ready.setup().returncode == 0
    (ready.venv / ".setup-complete").unlink()
    (ready.venv / ".setup-unfinished").touch()
    (ready.venv / "half a package").touch()
    assert ready.setup().returncode == 0
    assert not (ready.venv / "half a package").exists()
    assert not (ready.venv / ".setup-unfinished").exists()
    assert ready.setup().stdout == ""


def test_a_failed_step_is_shown_and_repeated(ready: Machine) -> None:
    """What the tool said is shown, the step named, and the next run goes on from there."""
    broken = ready.checkout / "broken"
    broken.touch()
    done = ready.setup()
    assert done.returncode == 1
    assert done.stdout.endswith("... failed\n")
    assert done.stderr.splitlines()[0] == "no such package"
    assert "setup: packages" in done.stderr.splitlines()[-1]
    broken.unlink()
    assert ready.setup().returncode == 0
    assert ready.venv.is_dir()


def test_a_moved_checkout_is_set_up_again(ready: Machine) -> None:
    """Commands of an environment hold its path; after a move they would start nothing."""
    assert ready.setup().returncode == 0
    (ready.venv / "old").touch()
    ready.checkout = ready.checkout.rename(ready.folder / "moved")
    assert ready.setup().returncode == 0
    assert not (ready.venv / "old").exists()
