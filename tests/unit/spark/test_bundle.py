"""The bundle: what is in it, that it is the same whenever it is built, and that a bare Python works with it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from airflow_lakehouse.exceptions import ConfigurationError, SetupError
from airflow_lakehouse.ocr.folder import LocalFolder
from airflow_lakehouse.spark import bundle, cluster
from airflow_lakehouse.spark.bundle import SCRIPT, SPARK_HALF, build_bundle, publish
from airflow_lakehouse.spark.jobs import JOBS

ROOT = Path(__file__).parents[3]
DROPIN = ROOT / "plugins" / "csv_dropin.py"
_REGISTERED = """
import sys
sys.path.insert(0, sys.argv[1])
import airflow_lakehouse
from airflow_lakehouse.parsing import load_registry
assert airflow_lakehouse.__file__.startswith(sys.argv[1]), airflow_lakehouse.__file__
print(*load_registry().parsers)
"""


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a parser's distribution, as pip would: its module, and metadata with an entry point."""
    site = tmp_path / "site"
    module = ROOT / "plugins" / "lakehouse_csv_parser" / "lakehouse_csv_parser" / "__init__.py"
    (site / "lakehouse_csv_parser").mkdir(parents=True)
    (site / "lakehouse_csv_parser" / "__init__.py").write_bytes(module.read_bytes())
    metadata = site / "lakehouse_csv_parser-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lakehouse-csv-parser\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text("[airflow_lakehouse.parsers]\nimmunisations = lakehouse_csv_parser\n")
    (metadata / "RECORD").write_text("lakehouse_csv_parser/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(site))
    return site


def test_the_half_is_the_one_the_import_rules_know() -> None:
    """What runs without Airflow is what is shipped, so that neither list grows without the other."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert {f"airflow_lakehouse.{name}" for name in SPARK_HALF} == set(contract["source_modules"])


def test_the_same_content_is_the_same_bundle(tmp_path: Path) -> None:
    """Built twice it has one hash; a changed parser gives it another."""
    first, again = build_bundle([str(DROPIN)]), build_bundle([str(DROPIN)])
    assert (first.sha256, first.data) == (again.sha256, again.data)
    changed = tmp_path / "parser.py"
    changed.write_bytes(DROPIN.read_bytes() + b"\n# another version\n")
    assert build_bundle([str(changed)]).sha256 != first.sha256


def test_it_is_published_once(tmp_path: Path) -> None:
    """The zip is named after its hash, the scripts stay where they are, and a second run writes nothing."""
    built = build_bundle()
    where = publish(built, LocalFolder(tmp_path))
    assert where.zip_uri == f"file://{tmp_path}/bundles/{built.sha256}.zip"
    assert where.script_uri == f"file://{tmp_path}/{SCRIPT}"
    assert {path.stem for path in tmp_path.glob("*.py")} == {*JOBS, "run_job"}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    publish(built, LocalFolder(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_every_registered_parser_comes_along(tmp_path: Path, distribution: Path) -> None:
    """In a Python that has nothing but the zip, the distribution's parser and the single file's are registered."""
    archive = tmp_path / "bundle.zip"
    archive.write_bytes(build_bundle([str(DROPIN)]).data)
    command = [sys.executable, "-S", "-E", "-c", _REGISTERED, str(archive)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"immunisations", "ward_list", "fhir", "documents"} <= set(done.stdout.split())


def test_there_is_no_airflow_in_it() -> None:
    """Hooks, operators and the command stay at home, and so does what tools leave behind."""
    with zipfile.ZipFile(io_of(build_bundle())) as archive:
        tops = {name.split("/")[1].removesuffix(".py") for name in archive.namelist() if name.startswith("airflow_")}
        assert not [name for name in archive.namelist() if "__pycache__" in name or "/." in name]
    assert tops == {*SPARK_HALF, "__init__", "py.typed"}


def test_native_code_is_refused(distribution: Path) -> None:
    """A parser that needs a compiled module is told so here, and not by an import error on an executor."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (distribution / "lakehouse_csv_parser" / f"fast{suffix}").touch()
    with pytest.raises(SetupError, match="native code"):
        build_bundle()


def test_an_absent_parser_file_is_said() -> None:
    """Before anything is shipped."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        build_bundle(["/nowhere/parser.py"])


def test_what_an_engine_lacks_is_said_early(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An old Python or a missing package ends the job at once, in a line that the runner reads back."""
    assert cluster.lacking() == ""
    assert "3.11" in cluster.lacking((3, 9))
    monkeypatch.setattr(cluster, "NEEDED", ("a_package_nobody_has",))
    with pytest.raises(SystemExit) as ended:
        cluster.run(["--job", "raw_to_bronze"])
    assert ended.value.code == 2
    assert "SetupError: a_package_nobody_has not found" in caplog.text


def io_of(built: bundle.Bundle) -> Path:
    """Return the zip as something that can be opened."""
    import io

    return io.BytesIO(built.data)  # type: ignore[return-value] # ZipFile takes both
