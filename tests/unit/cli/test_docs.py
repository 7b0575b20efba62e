"""The generated pages, and what the written ones say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_lakehouse import cli
from airflow_lakehouse.cli.docs import generated

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", list(generated(ROOT)), ids=lambda path: path.name)
def test_generated_files_are_current(path: Path) -> None:
    """What is committed is what the code gives; 'make docs' writes it."""
    assert path.read_text("utf-8") == generated(ROOT)[path]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file of the project."""
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_exist(page: Path) -> None:
    """Every lakehouse command and make target a page names is one."""
    text = page.read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^ *(?:`)?lakehouse ([a-z-]+)", text, re.MULTILINE)) <= set(cli.COMMANDS)
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets


def test_the_readme_is_short() -> None:
    """A reader is through it in one sitting."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150
