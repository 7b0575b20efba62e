"""Install the wheel into Airflow deployments as they exist, and run the tests there: ``compat.py [VERSION ...]``.

For each version: an environment with what its constraints pin; the wheel, which must change nothing that is there; then
the tests of the Airflow half, with one deferred run of a whole Airflow in which a worker is killed. Environments are
below ``.lakehouse/compat`` and kept; one is made again when its pins change.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".lakehouse" / "compat"
LATEST = "latest"
VERSIONS = ("2.11.2", "3.0.6", "3.2.1", "3.3.1", LATEST)
PYTHONS = ((3, 12), (3, 11), (3, 13))
NOT_FOR = {"2.11.2": ((3, 13),)}
"""Pythons a version of Airflow does not run on."""

DEPLOYMENT = ("apache-airflow", "apache-airflow-providers-amazon[aiobotocore]")
FOR_TESTS = (
    "pytest",
    "pytest-timeout",
    "hypothesis",
    "hatchling",
    "jsonschema",
    "pypdfium2",
    "reportlab",
    "Pillow",
    "rich",
)
NEVER = re.compile(r"dbt($|-)|pyspark($|-)|apache-airflow-providers-apache-spark$|astronomer-cosmos$")
"""Packages that adding the wheel must not bring: each breaks deployments, or is an extra's."""

# The Spark half never meets Airflow, and what it needs is in none of these environments.
TESTS = ("tests/airflow", *(f"tests/unit/{part}" for part in ("dbt", "hooks", "operators", "sensors", "triggers")))
NOT_HERE = (
    "tests/airflow/runners",
    "tests/airflow/test_demo_and_up.py",
    "tests/unit/dbt/test_environment.py",
    "tests/unit/operators/test_documents.py",
)
"""Tests of commands that need the extra ``local``."""


def fail(message: str) -> None:
    """End with one line that says what is wrong."""
    sys.exit(f"test-compat: {message}")


def say(what: str) -> float:
    """Say what begins, and return when."""
    print(f"test-compat: {what}", flush=True)  # noqa: T201 - a command's output
    return time.monotonic()


def run(command: list[str], **more: object) -> str:
    """Run a command; its output is shown when it fails, and returned when it does not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    if done.returncode:
        sys.stderr.write("\n".join((done.stdout + done.stderr).splitlines()[-60:]) + "\n")
        fail(f"{Path(command[0]).name} {' '.join(command[1:4])} ... failed (see above)")
    return str(done.stdout)


def find_python(version: str) -> str:
    """Return a Python the version of Airflow runs on; ``PYTHON`` names another one."""
    wanted = [one for one in PYTHONS if one not in NOT_FOR.get(version, ())]
    named = os.environ.get("PYTHON")
    names = [named] if named else [sys.executable, *(f"python{major}.{minor}" for major, minor in wanted), "python3"]
    for name in names:
        found = shutil.which(name)
        # The answer is read, not the exit code: a version manager's shim is found and still does nothing.
        question = [str(found), "-c", "import sys, venv, ensurepip; print(sys.version_info[:2])"]
        answer = subprocess.run(question, capture_output=True, text=True, check=False).stdout.strip() if found else ""
        if answer in {str(one) for one in wanted}:
            return str(found)
    legal = ", ".join(f"{major}.{minor}" for major, minor in sorted(wanted))
    fail(f"Airflow {version} needs Python {legal} with venv; install one, or set PYTHON to one")
    raise AssertionError


@dataclass(frozen=True)
class Environment:
    """One deployment.

    :param version: of Airflow, or ``latest``.
    """

    version: str

    @property
    def folder(self) -> Path:
        """Where it is."""
        return PLACE / self.version

    @property
    def python(self) -> str:
        """Its Python."""
        return str(self.folder / "bin" / "python")

    @property
    def pins(self) -> Path:
        """Its constraints."""
        return ROOT / "constraints" / ("local.txt" if self.version == LATEST else f"airflow-{self.version}.txt")

    def install(self, *packages: str) -> None:
        """Install packages, each at the version that is pinned."""
        run([self.python, "-m", "pip", "install", "--quiet", "--no-compile", "--constraint", str(self.pins), *packages])

    def frozen(self) -> dict[str, str]:
        """Return the version of every package but ours."""
        listed = json.loads(run([self.python, "-m", "pip", "list", "--format", "json"]))
        return {one["name"].lower(): one["version"] for one in listed if one["name"] != "airflow-lakehouse"}

    def make(self) -> None:
        """Make the deployment as it is before anybody adds anything."""
        wanted = hashlib.sha256(self.pins.read_bytes() + Path(__file__).read_bytes()).hexdigest()
        stamp = self.folder / ".complete"
        kept = json.loads(stamp.read_text()) if stamp.is_file() else {}
        if kept.get("wanted") == wanted:
            added = [*set(self.frozen()).difference(kept["packages"]), "airflow-lakehouse"]
            run([self.python, "-m", "pip", "uninstall", "--quiet", "--yes", *added])
            return
        began = say(f"{self.version}: installing the deployment (a few minutes the first time)")
        shutil.rmtree(self.folder, ignore_errors=True)
        run([find_python(self.version), "-m", "venv", str(self.folder)])
        run([self.python, "-m", "pip", "install", "--quiet", "--upgrade", "pip"])
        self.install(*DEPLOYMENT, *FOR_TESTS)
        stamp.write_text(json.dumps({"wanted": wanted, "packages": sorted(self.frozen())}))
        say(f"{self.version}: deployed in {time.monotonic() - began:.0f} s")

    def add(self, wheel: Path) -> None:
        """Add the wheel under the deployment's constraints, and see that nothing that was there has changed."""
        before = self.frozen()
        # Without constraints as well: then pip may take newer releases, but nothing that breaks a deployment.
        report = json.loads(
            run([self.python, "-m", "pip", "install", "--quiet", "--dry-run", "--report", "-", f"{wheel}[aws]"])
        )
        free = {one["metadata"]["name"].lower(): one["metadata"]["version"] for one in report["install"]}
        self.install(f"{wheel}[aws]")
        after = self.frozen()
        changed = {name: (was, after.get(name)) for name, was in before.items() if after.get(name) != was}
        brought = sorted((set(after) | set(free)) - set(before) - {"airflow-lakehouse"})
        if changed:
            fail(f"{self.version}: adding the wheel changes {changed}")
        if never := [name for name in brought if NEVER.match(name)]:
            fail(f"{self.version}: adding the wheel brings {', '.join(never)}")
        run([self.python, "-m", "pip", "check"])
        told = ", ".join(brought) or "none"
        say(f"{self.version}: the wheel changed none of {len(before)} packages and brought {told}")
        if moved := sorted(set(free) & set(before)):
            say(f"{self.version}: installed without constraints, it would have changed {', '.join(moved)}")

    def test(self, s3: str) -> int:
        """Run the tests of the Airflow half against the installed wheel, from outside the checkout."""
        outside = self.folder / "outside"
        outside.mkdir(exist_ok=True)
        # The tests import each other; the package they test must be the installed one.
        for name in ("tests", "pyproject.toml", "constraints"):
            link = outside / name
            link.unlink(missing_ok=True)
            link.symlink_to(ROOT / name)
        environ = {**os.environ, "PYTHONPATH": str(outside), "LAKEHOUSE_TEST_S3": s3, "PATH": self._path()}
        environ.pop("AIRFLOW_HOME", None)
        command = [self.python, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider", "--tb=short"]
        # Libraries of that time warn of what came after them; nobody here can mend that.
        command += ["-o", "filterwarnings=default", "--disable-warnings", *(f"--ignore={name}" for name in NOT_HERE)]
        began = say(f"{self.version}: testing")
        code = subprocess.run([*command, *TESTS], cwd=outside, env=environ, check=False).returncode
        say(f"{self.version}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s")
        return code

    def _path(self) -> str:
        return f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout."""
    shutil.rmtree(folder, ignore_errors=True)
    python = ROOT / ".venv" / "bin" / "python"
    run([str(python), "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)], cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def main(versions: list[str]) -> int:
    """Go through the versions; one that fails does not spare the others."""
    if strangers := [version for version in versions if version not in VERSIONS]:
        fail(f"no constraints for Airflow {', '.join(strangers)}; there are {', '.join(VERSIONS)}")
    from airflow_lakehouse.testing.s3_server import s3_server

    failed = []
    wheel = build_wheel(PLACE / "wheel")
    with s3_server() as s3:
        for version in versions or VERSIONS:
            environment = Environment(version)
            environment.make()
            environment.add(wheel)
            if environment.test(s3):
                failed.append(version)
    if failed:
        fail(f"tests failed on Airflow {', '.join(failed)}")
    say(f"Airflow {', '.join(versions or VERSIONS)}: all passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
