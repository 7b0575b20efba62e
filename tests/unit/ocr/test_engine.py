from __future__ import annotations

import pytest

from airflow_lakehouse.exceptions import ConfigurationError, OcrError, SetupError
from airflow_lakehouse.ocr import engine
from airflow_lakehouse.ocr.limits import Limits


def test_none_has_no_engine_and_local_is_not_loaded_yet() -> None:
    """Naming an engine costs nothing: models are loaded by the first page."""
    assert engine.resolve_engine("none") is None
    local = engine.resolve_engine("local")
    assert local is not None
    assert local.name == "rapidocr"


@pytest.mark.parametrize("name", ["textract", "tesseract", ""])
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
