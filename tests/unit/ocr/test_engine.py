from __future__ import annotations

import sys
from types import ModuleType

import pytest

from airflow_lakehouse.exceptions import ConfigurationError, OcrError, SetupError
from airflow_lakehouse.ocr import engine
from airflow_lakehouse.ocr.geometry import Box, quad_of
from airflow_lakehouse.ocr.hookspecs import hookimpl
from airflow_lakehouse.ocr.limits import Limits
from airflow_lakehouse.ocr.model import EngineKind, Line, Word
from airflow_lakehouse.profile import Profile


def test_none_has_no_engine_and_local_is_not_loaded_yet() -> None:
    """Naming an engine costs nothing: models are loaded by the first page."""
    assert engine.resolve_engine("none") is None
    local = engine.resolve_engine("local")
    assert local is not None
    assert local.name == "rapidocr"


@pytest.mark.parametrize("name", ["textract", "surya", ""])
def test_an_unknown_engine_is_named_with_the_legal_ones(name: str) -> None:
    """The message says what was given and what is legal."""
    with pytest.raises(OcrError, match=r"Legal: local, none") as caught:
        engine.resolve_engine(name)
    assert repr(name) in str(caught.value)


def test_a_missing_engine_gives_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lacks the extra is told how to get it."""
    monkeypatch.setattr(engine, "_is_installed", lambda name: name != "rapidocr")
    with pytest.raises(SetupError, match=r"pip install 'airflow-lakehouse\[ocr\]'"):
        engine.resolve_engine("local")
    assert engine.resolve_engine("none") is None


@pytest.mark.parametrize(
    ("name", "told"), [("tesserocr", "pip install tesserocr"), ("tesseract", "apt-get install tesseract-ocr")]
)
def test_every_engine_says_how_it_is_installed(name: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is known and not there fails with its own command, before any page is looked at."""
    monkeypatch.setattr(engine, "_is_installed", lambda name: name == "pypdfium2")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError, match=told):
        engine.engine_version(name)


class _Reader:
    name, version = "stamp", "7"

    def read_page(self, image: object) -> list[Line]:  # noqa: ARG002 - as every engine
        quad = quad_of(Box(10, 10, 110, 30))
        return [Line((Word("stamped", 88.0, quad),), 88.0, quad)]


def test_an_engine_comes_through_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plugin brings is found by name, as anyone's; a name that is taken is refused."""
    plugin = ModuleType("stamp_plugin")
    kinds = [EngineKind("stamp", lambda _threads: _Reader(), "pip install stamp")]
    plugin.lakehouse_ocr_engines = hookimpl(lambda: kinds)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    monkeypatch.setattr(engine, "_BUILT_IN", (*engine._BUILT_IN, plugin.__name__))
    found = engine.resolve_engine("plugin:stamp")
    assert found is not None
    assert found.name == "stamp"
    assert engine.engine_version("stamp").startswith(f"{engine.RECIPE}-stamp-7-")
    assert Profile("w", ocr="plugin:stamp").ocr == "plugin:stamp"
    kinds.append(EngineKind("local", lambda _threads: _Reader(), "pip install stamp"))
    with pytest.raises(OcrError, match="two OCR engines are called 'local'"):
        engine.engine_kinds()


def test_version_names_every_part_that_may_change_a_block() -> None:
    """Results are kept apart by recipe, engine and PDFium."""
    assert engine.engine_version("local").startswith(f"{engine.RECIPE}-rapidocr-")
    assert "-pdfium-" in engine.engine_version("none")


def test_limits_must_be_positive() -> None:
    """A bound of nothing is a mistake, not no bound."""
    with pytest.raises(ConfigurationError, match="page_seconds"):
        Limits(page_seconds=0)
    with pytest.raises(ConfigurationError, match="ocr_pages"):
        Limits(ocr_pages=-1)
