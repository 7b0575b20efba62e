"""The parser door, without Spark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airflow_lakehouse.exceptions import ConfigurationError, ParserError
from airflow_lakehouse.parsing import SourceFile, load_registry
from airflow_lakehouse.testing import check_parser

ROOT = Path(__file__).parents[3]
DROPIN = ROOT / "plugins" / "csv_dropin.py"
DISTRIBUTION = ROOT / "plugins" / "lakehouse_csv_parser" / "lakehouse_csv_parser" / "__init__.py"


def test_built_in_parsers_come_through_the_door() -> None:
    """FHIR and documents are registered as anybody's parser is."""
    assert {"fhir", "documents"} <= set(load_registry().parsers)


@pytest.mark.parametrize(
    ("path", "name", "content"),
    [
        (DROPIN, "ward_list", b"ward;bed;patient\nA;1;p\nA;2\n"),
        (DISTRIBUTION, "immunisations", b"patient_id,vaccine,given_on,dose_ml\np,08,2026-01-01,0.500\n,08,,\np\n"),
    ],
)
def test_an_outside_parser_keeps_the_contract(path: Path, name: str, content: bytes) -> None:
    """Both forms of plugin load, claim their files before the built-in parsers do, and give rows and rejects."""
    registry = load_registry([str(path)])
    parser = registry.claim(SourceFile("file:///x.txt", "e", len(content)), content)
    assert parser is not None
    assert parser.name == name
    assert len(check_parser(parser, content, "file:///x.txt")) >= 2


def test_a_plugin_that_does_not_load_stops_the_run(tmp_path: Path) -> None:
    """A missing file and a broken one are named; neither is passed over."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_registry([str(tmp_path / "none.py")])
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    with pytest.raises(ParserError, match=r"broken\.py"):
        load_registry([str(broken)])
    loaded = [module for name, module in sys.modules.items() if name.startswith("airflow_lakehouse_plugin_")]
    assert str(broken) not in [module.__file__ for module in loaded]


def test_two_parsers_of_one_name_are_refused(tmp_path: Path) -> None:
    """The ledger and the quarantine know a parser by its name alone."""
    twin = tmp_path / "twin.py"
    twin.write_text(DROPIN.read_text())
    with pytest.raises(ParserError, match="ward_list"):
        load_registry([str(DROPIN), str(twin)])
