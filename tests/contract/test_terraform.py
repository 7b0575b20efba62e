"""The Terraform example is formatted and valid, where Terraform and its AWS provider are on the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

MIRRORS = "TF_PLUGIN_MIRROR"
"""Environment variable with a folder of providers, as Terraform's filesystem mirrors are laid out."""

_PROVIDER = "registry.terraform.io/hashicorp/aws"
_USUAL = (
    "/opt/tf-plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "~/.terraform.d/plugins",
)


@pytest.fixture(scope="module")
def terraform() -> str:
    """Return the program; skip where there is none."""
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("terraform is not installed here")
    return found


@pytest.fixture(scope="module")
def mirror() -> Path:
    """Return a folder with the AWS provider; nothing is downloaded, so skip where there is none."""
    given = os.environ.get(MIRRORS)
    for place in [given] if given else _USUAL:
        folder = Path(place).expanduser()
        if (folder / _PROVIDER).is_dir():
            return folder
    pytest.skip(f"no AWS provider in {given or ', '.join(_USUAL)}; {MIRRORS} names another folder")


def _run(program: str, *arguments: str, cwd: Path, config: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "TF_CLI_CONFIG_FILE": str(config), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    command = [program, *arguments]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=300, check=False)


def test_it_is_formatted(terraform: str, root: Path, tmp_path: Path) -> None:
    """As ``terraform fmt`` writes it."""
    (tmp_path / "rc").touch()
    done = _run(
        terraform, "fmt", "-check", "-diff", "-recursive", cwd=root / "examples/terraform", config=tmp_path / "rc"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_valid(terraform: str, mirror: Path, root: Path, tmp_path: Path) -> None:
    """Every resource and argument is one the provider has; no account is asked."""
    (tmp_path / "rc").write_text(
        f"provider_installation {{ filesystem_mirror {{ path = {json.dumps(str(mirror))} }} }}\n"
    )
    module = tmp_path / "module"
    shutil.copytree(root / "examples/terraform", module, ignore=shutil.ignore_patterns(".terraform*"))
    for command in (("init", "-backend=false", "-input=false", "-no-color"), ("validate", "-no-color")):
        done = _run(terraform, *command, cwd=module, config=tmp_path / "rc")
        assert done.returncode == 0, done.stdout + done.stderr
