"""The containers run the same stack: every component, reachable from this machine alone, without root."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

COMPONENTS = {"api-server", "scheduler", "triggerer", "dag-processor"}


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    """``compose.yaml``, merged."""
    found: dict[str, Any] = yaml.safe_load((root / "compose.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def dockerfile(root: Path) -> str:
    """The ``Dockerfile`` without comments, one instruction a line."""
    text = re.sub(r"^\s*#.*\n", "", (root / "Dockerfile").read_text(), flags=re.MULTILINE)
    return re.sub(r"\\\n\s*", " ", text)


def test_every_component_runs(compose: dict[str, Any]) -> None:
    """A scheduler alone runs no deferred task and parses no DAG."""
    assert set(compose["services"]) == {"postgres", "init", *COMPONENTS}
    assert all("LocalExecutor" in compose["services"][name]["environment"].values() for name in COMPONENTS)
    triggerer = compose["services"]["triggerer"]
    assert triggerer["pid"] == triggerer["network_mode"] == "service:scheduler"


def test_ports_are_reached_from_this_machine_alone(compose: dict[str, Any]) -> None:
    """Every published port is bound to the loopback address."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not str(port).startswith("127.0.0.1:")] == []


def test_every_component_says_how_it_is(compose: dict[str, Any]) -> None:
    """``docker compose ps`` tells a dead triggerer from a live one; the name asked for is one that Airflow answers."""
    model = (_airflow() / "api_fastapi" / "core_api" / "datamodels" / "monitor.py").read_text()
    answered = set(re.findall(r"^    (\w+):", model.partition("class HealthInfoResponse")[2], re.MULTILINE))
    asked = {name: compose["services"][name]["healthcheck"]["test"] for name in COMPONENTS}
    for name, (kind, python, option, program, component) in asked.items():
        assert (kind, python, option) == ("CMD", "python", "-c")
        compile(program, name, "exec")
        assert component in answered
        assert name == "api-server" or component == name.replace("-", "_")
    assert compose["services"]["postgres"]["healthcheck"]


def test_every_component_waits_for_the_set_up(compose: dict[str, Any]) -> None:
    """Nothing starts before the database is migrated and the secrets are there."""
    done = {"condition": "service_completed_successfully"}
    assert all(compose["services"][name]["depends_on"]["init"] == done for name in COMPONENTS)
    assert compose["services"]["init"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_volumes_are_shared(compose: dict[str, Any]) -> None:
    """All components see one warehouse and one drop, and every named volume is declared."""
    mounts = {name: service.get("volumes", []) for name, service in compose["services"].items()}
    shared = mounts["scheduler"]
    assert {mount.rpartition(":")[2] for mount in shared} == {"/data", "/data/raw"}
    assert all(mounts[name] == shared for name in (*COMPONENTS, "init"))
    sources = {mount.rpartition(":")[0] for found in mounts.values() for mount in found}
    named = {re.sub(r"^\$\{\w+:-(.+)\}$", r"\1", source) for source in sources}
    assert named == set(compose["volumes"])


def test_options_of_airflow_exist(compose: dict[str, Any], texts: dict[str, str]) -> None:
    """Airflow ignores an option it does not know; a typing error would pass without a word."""
    environment = set(compose["services"]["scheduler"]["environment"])
    names = environment | set(re.findall(r"AIRFLOW__\w+", texts["Dockerfile"]))
    described = yaml.safe_load((_airflow() / "config_templates" / "config.yml").read_text())
    known = {f"AIRFLOW__{part}__{key}".upper() for part, section in described.items() for key in section["options"]}
    ours = {name.removesuffix("_CMD") for name in names if name.startswith("AIRFLOW__")}
    assert {name for name in ours - known if not name.startswith("AIRFLOW__COSMOS__")} == set()


def test_nothing_runs_as_root(compose: dict[str, Any], dockerfile: str) -> None:
    """The image's last user is a number other than zero, and no service asks for another."""
    users = re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)
    assert users
    assert int(users[-1]) > 0
    assert [name for name, service in compose["services"].items() if "user" in service or "privileged" in service] == []


def test_what_is_copied_is_there_and_sent(root: Path, dockerfile: str) -> None:
    """Every source of a COPY exists and is not held back by ``.dockerignore``."""
    rules = [line for line in (root / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = [line.split()[1:-1] for line in re.findall(r"^COPY (?!--from).*$", dockerfile, re.MULTILINE)]
    assert copied
    for source in {name.rstrip("/") for names in copied for name in names}:
        assert (root / source).exists()
        assert source == "." or _is_sent(source, rules)


def test_what_is_installed_is_sent(root: Path, dockerfile: str) -> None:
    """What the wheel is built from and the constraints reach the build, and the command names extras that exist."""
    rules = (root / ".dockerignore").read_text().splitlines()
    for name in ("airflow_lakehouse", "dbt_example", "example_dags", "spark_scripts", "pyproject.toml", "README.md"):
        assert _is_sent(name, rules), name
    constraint = re.search(r"--constraint (\S+)", dockerfile)
    assert constraint
    assert (root / constraint.group(1)).is_file()
    assert _is_sent(constraint.group(1), rules)
    extras = re.search(r'"\.\[([\w,]+)\]"', dockerfile)
    assert extras
    assert f"[{extras.group(1)}]" in (root / "tools" / "setup.sh").read_text(), "not what set-up installs"


def test_compose_itself_accepts_the_file(root: Path) -> None:
    """The real parser finds no unknown key; it needs no container engine."""
    command = ["docker", "compose", "-f", str(root / "compose.yaml"), "config", "--quiet"]
    try:
        present = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        present = False
    if not present:
        pytest.skip("docker compose is not installed here")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _airflow() -> Path:
    """Folder of Airflow's code, which is read: importing it takes longer than all the other sweeps together."""
    found = find_spec("airflow")
    assert found
    assert found.origin
    return Path(found.origin).parent


def _is_sent(name: str, rules: list[str]) -> bool:
    """Whether the last rule of ``.dockerignore`` that a path or a folder above it meets lets it through."""
    parts = name.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    sent = True
    for rule in rules:
        pattern = rule.removeprefix("!").rstrip("/")
        if any(fnmatch(path, pattern) for path in above):
            sent = rule.startswith("!")
    return sent
