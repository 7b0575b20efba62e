"""``lakehouse sample`` on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_lakehouse.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_options_reach_the_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All options are taken; standard output is one JSON object, the report; standard error stays empty in a log."""
    target = tmp_path / "raw"
    options = ["--patients", "4", "--documents", "1", "--days", "1", "--seed", "3", "--broken-ratio", "0"]
    assert main(["sample", str(target), *options]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert printed.out.count("\n") == 1
    assert printed.err == ""
    assert report["records"]["Patient"] == 4
    assert (report["documents"], report["pages"], report["broken"]) == (1, 2, {})
    assert [path.name for path in (target / "fhir").iterdir()] == ["dt=2026-01-15"]


def test_what_cannot_be_done_is_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder in use and numbers that make no sense are the user's to mend: no stack trace."""
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["sample", str(tmp_path)]) == 2
    assert main(["sample", str(tmp_path / "raw"), "--patients", "0"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line.split(":")[0] for line in printed.err.splitlines()] == ["lakehouse sample"] * 2
