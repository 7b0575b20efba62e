"""The fault matrix as it is written down: every row has a test that says so, or says what it comes with."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.faults import test_schedules

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/faults.md"
_ROW = re.compile(r"^\| (\d+) \| .+? \| .*? \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+[.]py)::(\w+)`")
_TOLD = re.compile(r"Rows? (\d+(?:(?:, | and )\d+)*)")
_ELSEWHERE = {"4": "Airflow's", "21": "of drift"}
"""Rows whose tests are of another part, which does not count by this matrix, and whose."""


def _rows() -> dict[int, str]:
    return {int(number): tests for number, tests in _ROW.findall(PAGE.read_text())}


def _named(tests: str) -> list[tuple[str, str]]:
    """Return the tests of a row; "as 5" and "of 6" stand for those of that row."""
    found = _TEST.findall(tests)
    for other in re.findall(r"\b(?:as|of) (\d+)", tests):
        found += _TEST.findall(_rows()[int(other)])
    return found


def _docstrings(file: str) -> dict[str, str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)}


def _told(docstring: str) -> set[int]:
    return {int(number) for rows in _TOLD.findall(docstring) for number in re.findall(r"\d+", rows)}


def test_the_matrix_is_whole() -> None:
    """Rows 1 to 37 are all there, in order."""
    assert list(_rows()) == list(range(1, 38))


@pytest.mark.parametrize("number", range(1, 38))
def test_every_row_has_its_test(number: int) -> None:
    """The tests a row names exist, and one of them at least says that it is the row's; or it says what it waits for."""
    tests = _named(_rows()[number])
    if not tests:
        assert "comes with" in _rows()[number]
        return
    told = {(file, name): _docstrings(file)[name] for file, name in tests}
    assert str(number) in _ELSEWHERE or any(number in _told(text) for text in told.values())


def test_every_test_is_in_the_matrix() -> None:
    """A test that says it is a row's stands in that row, or in one that the row refers to."""
    strays = defaultdict(set)
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        path = file.relative_to(ROOT).as_posix()
        for name, text in _docstrings(path).items():
            for number in _told(text) if name.startswith("test_") and file != Path(__file__) else ():
                if (path, name) not in _named(_rows()[number]):
                    strays[number].add(name)
    assert not strays


def test_the_figure_is_the_one_that_is_printed() -> None:
    """README and matrix carry the line that a usual run prints: as many schedules as are drawn and written out."""
    line = f"{test_schedules.USUAL + 1} schedules, 0 lost, 0 doubled"
    assert line in (ROOT / "README.md").read_text()
    assert f"`{line}`" in " ".join(PAGE.read_text().split())
