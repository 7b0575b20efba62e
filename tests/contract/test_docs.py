"""What the written pages say can be done: commands parse, links lead somewhere, names exist."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.reference import parser_of
from airflow_lakehouse.ocr.hookspecs import ENTRY_POINT_GROUP as OCR_GROUP
from airflow_lakehouse.parsing.registry import ENTRY_POINT_GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "docs" / "reference"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "plugins").rglob("*.md"))]
WRITTEN = [page for page in PAGES if not page.is_relative_to(GENERATED)]
README_LINES = 150

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_written_page = pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each ``lakehouse`` command in code, in blocks and in running text."""
    blocks = re.findall(r"^```(?:console|bash|sh)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines += re.findall(r"`([^`]+)`", prose)
    for line in (line for line in lines if "lakehouse " in line):
        words = shlex.split(" ".join(line.split()), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        if words and words[0].removeprefix(".venv/bin/") == "lakehouse" and len(words) > 1:
            yield words[1 : next((at for at, word in enumerate(words) if word in ("|", ">", "&&")), None)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@each_written_page
def test_commands_parse(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every lakehouse command of a page can be typed as it stands; a name alone is a mention."""
    for name, *arguments in commands(page.read_text("utf-8")):
        if name.startswith("-"):
            continue
        parser = parser_of(name)
        if arguments:
            try:
                parser.parse_args(arguments)
            except SystemExit:
                pytest.fail(f"lakehouse {name} {shlex.join(arguments)}: {capsys.readouterr().err}")


def test_commands_are_found() -> None:
    """The finder above finds commands in blocks, over two lines, after a variable and in running text."""
    text = "```console\nA=1 lakehouse run x \\\n  --dt y  # why\nls\n```\nand `lakehouse engine stop` | `make up`\n"
    assert list(commands(text)) == [["run", "x", "--dt", "y"], ["engine", "stop"]]


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the project, and its anchor a heading of that file."""
    for link, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)", page.read_text("utf-8")):
        target = (page.parent / link).resolve() if link else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


@each_written_page
def test_names_exist(page: Path) -> None:
    """Modules, environment variables and Python names that a page mentions are the code's."""
    text = page.read_text("utf-8")
    for name in set(re.findall(r"\bairflow_lakehouse(?:\.\w+)+", text)) - {ENTRY_POINT_GROUP, OCR_GROUP}:
        module, _, attribute = name.rpartition(".")
        assert _is_module(name) or hasattr(import_module(module), attribute), name
    code = "".join(path.read_text("utf-8") for path in (ROOT / "airflow_lakehouse").rglob("*.py"))
    assert {name for name in re.findall(r"\bLAKEHOUSE_[A-Z_]+\b", text) if f'"{name}"' not in code} == set()


@each_written_page
def test_codes_exist(page: Path) -> None:
    """A reason or flag that a page explains is one the code gives."""
    shown = set(re.findall(r"^\| (`[A-Z][A-Z_]+`(?:, `[A-Z][A-Z_]+`)*) \|", page.read_text("utf-8"), re.MULTILINE))
    codes = {code for cell in shown for code in re.findall(r"`([A-Z_]+)`", cell) if not code.startswith("LAKEHOUSE_")}
    source = "".join(path.read_text("utf-8") for path in (ROOT / "airflow_lakehouse").rglob("*.py"))
    assert {code for code in codes if f'"{code}"' not in source} == set()


def test_the_parser_of_the_how_to_works() -> None:
    """What the how-to says to write, and the test it says to write for it, run as they stand."""
    page = (ROOT / "docs" / "how-to" / "write-a-parser.md").read_text("utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        exec(compile(block, "write-a-parser.md", "exec"), names)  # noqa: S102 - our own page
    names["test_beds"]()


@each_written_page
def test_python_on_pages_compiles(page: Path) -> None:
    """Every block of Python is Python."""
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
        compile(block, str(page), "exec")


def test_the_readme_is_short() -> None:
    """A reader is through it in one sitting."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= README_LINES


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
