"""The generated pages, and the command that writes them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from airflow_lakehouse import cli, tables
from airflow_lakehouse.cli import docs, reference
from airflow_lakehouse.exceptions import UsageError

ROOT = Path(__file__).parents[3]
CHECK = argparse.Namespace(check=True)
WRITE = argparse.Namespace(check=False)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty checkout that the command takes for its own."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(docs, "__file__", str(tmp_path / "airflow_lakehouse" / "cli" / "docs.py"))
    return tmp_path


@pytest.mark.parametrize("path", list(docs.generated(ROOT)), ids=lambda path: path.name)
def test_generated_files_are_current(path: Path) -> None:
    """What is committed is what the code gives; 'make docs' writes it."""
    assert path.read_text("utf-8") == docs.generated(ROOT)[path]


def test_check_names_what_is_stale_and_writes_nothing(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who forgot 'make docs' learns which files, by the exit code too."""
    assert docs.run(CHECK) == 1
    assert "docs/reference/tables.md is stale; run 'make docs'" in capsys.readouterr().err
    assert not (checkout / "docs").exists()


def test_what_was_written_is_current(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Writing mends what the check complains of, and a second time there is nothing to write."""
    assert docs.run(WRITE) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(docs.generated(checkout))
    assert docs.run(CHECK) == 0
    assert docs.run(WRITE) == 0
    assert capsys.readouterr() == ("", "")


def test_an_installed_package_has_no_pages(checkout: Path) -> None:
    """Outside a clone there is nothing to write to, and the message says where there is."""
    (checkout / "pyproject.toml").unlink()
    with pytest.raises(UsageError, match="clone"):
        docs.run(WRITE)


def test_every_table_and_column_is_described() -> None:
    """The table page leaves no table and no column out."""
    page = reference.tables_page()
    for table in tables.ALL:
        section = page.split(f"\n## {table.identifier}\n")[1].split("\n## ")[0]
        assert [name for name in table.column_names if f"| `{name}` |" not in section] == []


def test_every_command_and_option_is_described() -> None:
    """The command page leaves nothing out that a user can type."""
    page = reference.commands_page()
    for name in cli.COMMANDS:
        section = page.split(f"\n## lakehouse {name}\n")[1].split("\n## ")[0]
        options = [action.option_strings[-1] for action in reference.parser_of(name)._actions if action.option_strings]
        assert [option for option in options if f"| `{option}" not in section] == []


def test_pages_name_no_machine() -> None:
    """A default that is a path is written without the folder this checkout lies in."""
    assert str(ROOT) not in "".join(docs.generated(ROOT).values())


@pytest.mark.parametrize("code", ["INVALID_JSON", "PARSER_FAILED", "ENCRYPTED", "EMPTY_PAGE", "BAD_TIME", "MISSING_ID"])
def test_reasons_are_read_from_the_code(code: str) -> None:
    """A code of each group is there with its meaning, without the word that marks flags in the code."""
    (line,) = [line for line in reference.reasons_page().splitlines() if line.startswith(f"| `{code}` |")]
    assert len(line) > len(f"| `{code}` |  |")
    assert "Flag:" not in line
