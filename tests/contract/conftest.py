"""What the sweeps go over: every file of the project as git sees it, so that a new file is checked at once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_NOT_OURS = {".git", ".venv", ".lakehouse", "dist", "build", "target", "logs", "__pycache__"}


def project_files() -> list[Path]:
    """Return every file that is or would be committed; outside git, every file but what commands leave behind."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        found = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not _NOT_OURS.intersection(path.relative_to(ROOT).parts)]
    return sorted(path for path in found if path.is_file())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for one of these once for each file: ``python_file``, ``package_file`` ..."""
    wanted = {
        "python_file": lambda path: path.is_relative_to(ROOT),
        "package_file": lambda path: path.is_relative_to(ROOT / "airflow_lakehouse"),
        "spark_file": lambda path: path.is_relative_to(ROOT / "airflow_lakehouse" / "spark"),
        "test_file": lambda path: path.is_relative_to(ROOT / "tests") and path.name.startswith("test_"),
    }
    for name in set(wanted).intersection(metafunc.fixturenames):
        files = [path for path in project_files() if path.suffix == ".py" and wanted[name](path)]
        metafunc.parametrize(name, files, ids=[str(path.relative_to(ROOT)) for path in files])


@pytest.fixture(scope="session")
def root() -> Path:
    """Folder the project is in."""
    return ROOT


@pytest.fixture(scope="session")
def all_files() -> list[Path]:
    """Every file of the project."""
    return project_files()


@pytest.fixture(scope="session")
def texts(all_files: list[Path]) -> dict[str, str]:
    """Return the text of every file of the project, by its path from the root; binary files are left out."""
    found = {}
    for path in all_files:
        try:
            found[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found
