"""What importing each part costs and needs: the Spark half no Airflow, the package nothing, a DAG parse no engine."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from pkgutil import walk_packages

import pytest

import airflow_lakehouse

SPARK_HALF = ("exceptions", "profile", "tables", "parsing", "parsers", "ocr", "spark")
# Not Cosmos: Airflow itself imports it when it looks for providers.
HEAVY = ("boto3", "onnxruntime", "pyarrow", "pyiceberg", "pypdfium2", "pyspark", "rapidocr", "reportlab")
PARSED_BY_AIRFLOW = ("hooks", "operators", "sensors", "triggers", "assets", "provider_info")

_BLOCK_AIRFLOW = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("airflow", "cosmos"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Blocked())
failed = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
sys.exit("\\n".join(f"{name}: {why}" for name, why in failed.items()) or 0)
"""

_WHAT_IT_BRINGS = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_the_spark_half_runs_without_airflow() -> None:
    """EMR and Glue have no Airflow: every module of that half can be imported where there is none."""
    modules = _modules(*SPARK_HALF)
    assert len(modules) > len(SPARK_HALF)
    done = _python(_BLOCK_AIRFLOW, modules)
    assert done.returncode == 0, done.stderr


def test_arrows_point_one_way(root: Path) -> None:
    """The import rules of ``pyproject.toml`` hold: no half reaches into the other, no layer into one above it."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_needs_the_standard_library_alone() -> None:
    """Airflow imports every provider while its own configuration is still loading."""
    brought = set(json.loads(_python(_WHAT_IT_BRINGS, ["airflow_lakehouse", "airflow_lakehouse.provider_info"]).stdout))
    assert brought - {"airflow_lakehouse"} <= set(sys.stdlib_module_names)


def test_a_dag_parse_loads_no_engine() -> None:
    """A scheduler parses DAGs all day long; what an operator only needs when it runs is not loaded then."""
    done = _python(_WHAT_IT_BRINGS, _modules(*PARSED_BY_AIRFLOW))
    assert done.returncode == 0, done.stderr
    assert not set(HEAVY) & set(json.loads(done.stdout))


@pytest.mark.parametrize("name", airflow_lakehouse.__all__)
def test_public_names_are_there(name: str) -> None:
    """Every name the package lists can be had from it."""
    assert getattr(airflow_lakehouse, name) is not None


def test_public_names_are_listed() -> None:
    """The list of names, the table they are found by, and the modules that define them agree."""
    assert sorted([*airflow_lakehouse._LAZY_NAMES, "__version__"]) == sorted(airflow_lakehouse.__all__)
    for name, module in airflow_lakehouse._LAZY_NAMES.items():
        assert hasattr(importlib.import_module(module), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """``hasattr`` and ``from ... import`` rely on it."""
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = airflow_lakehouse.nothing_of_ours


def _modules(*parts: str) -> list[str]:
    every = [found.name for found in walk_packages(airflow_lakehouse.__path__, "airflow_lakehouse.")]
    return [name for name in every if name.split(".")[1] in parts and not name.endswith("__main__")]


def _python(program: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
