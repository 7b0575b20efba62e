"""The wheel holds what the checkout holds, and works where there is nothing but the wheel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from typing import TYPE_CHECKING

import pytest

import airflow_lakehouse

if TYPE_CHECKING:
    from pathlib import Path

RESOURCES = ("spark_scripts", "dbt_example", "example_dags")

_RESOLVE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import airflow_lakehouse
from airflow_lakehouse.resources import RESOURCES, resource_dir
from airflow_lakehouse.provider_info import get_provider_info
assert get_provider_info()["package-name"] == "airflow-lakehouse"
print(json.dumps({"package": airflow_lakehouse.__file__, **{name: str(resource_dir(name)) for name in RESOURCES}}))
"""


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """Paths in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_is_called_as_promised(wheel: Path) -> None:
    """The distribution's name is a contract; it holds no code for one platform."""
    assert wheel.name == f"airflow_lakehouse-{airflow_lakehouse.__version__}-py3-none-any.whl"


def test_it_holds_the_package_and_nothing_else(names: set[str], all_files: list[Path], root: Path) -> None:
    """Every file of the package is in the wheel, the resources are inside the package, and nothing lies loose."""
    wanted = {
        (f"airflow_lakehouse/_assets/{path}" if path.parts[0] in RESOURCES else str(path))
        for path in (path.relative_to(root) for path in all_files)
        if path.parts[0] in ("airflow_lakehouse", *RESOURCES)
    }
    held = {name for name in names if ".dist-info/" not in name}
    assert wanted - held == set()
    assert {name for name in held - wanted if "/__pycache__/" not in name} == set()


def test_it_declares_its_entry_points(wheel: Path, root: Path) -> None:
    """What Airflow, pytest, the shell and the parser registry look for is in the wheel's own metadata."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    groups = {**project["entry-points"], "console_scripts": project["scripts"]}
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        declared = archive.read(name).decode()
    for group, points in groups.items():
        assert f"[{group}]" in declared
        for point, target in points.items():
            assert re.search(rf"^{re.escape(point)} = {re.escape(target)}$", declared, re.MULTILINE)


def test_its_resources_are_found_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    """Installed elsewhere, the package finds its own scripts, dbt project and DAGs, and tells Airflow what it is."""
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        # What an installer does with a pure wheel; pip would only take longer.
        archive.extractall(target)
    command = [sys.executable, "-S", "-E", "-c", _RESOLVE, str(target)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("package").startswith(str(target))
    for name, folder in found.items():
        assert folder == str(target / "airflow_lakehouse" / "_assets" / name)
    assert (target / "airflow_lakehouse" / "_assets" / "dbt_example" / "dbt_project.yml").is_file()
    assert (target / "airflow_lakehouse" / "_assets" / "example_dags" / "lakehouse_dag.py").is_file()
