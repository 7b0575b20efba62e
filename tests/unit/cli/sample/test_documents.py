"""The PDFs: text where a text layer is claimed, none on scans, a blank page, and one that nobody can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pypdfium2 as pdfium
import pytest

from airflow_lakehouse.cli.sample.day import Shape, shape_of
from airflow_lakehouse.cli.sample.documents import KINDS
from airflow_lakehouse.cli.sample.drop import _plan
from airflow_lakehouse.cli.sample.world import is_newcomer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.sample.conftest import Drop


def _texts(path: Path) -> list[str]:
    with pdfium.PdfDocument(path) as document:
        return [page.get_textpage().get_text_bounded() for page in document]


def _images(path: Path) -> list[list[tuple[int, int]]]:
    with pdfium.PdfDocument(path) as document:
        return [
            [one.get_px_size() for one in page.get_objects() if isinstance(one, pdfium.PdfImage)] for page in document
        ]


def _one(drop: Drop, kind: str) -> Path:
    (found,) = (drop.root / "docs").glob(f"dt=*/{kind}-*.pdf")
    return found


def test_each_kind_is_there_over_both_days(drop: Drop) -> None:
    """Six documents, one of each kind, three a day; only the broken one cannot be opened; pages are as reported."""
    files = sorted((drop.root / "docs").glob("dt=*/*.pdf"))
    assert sorted(path.name.split("-")[0] for path in files) == sorted(KINDS)
    assert {path.parent.name for path in files} == {"dt=2026-01-15", "dt=2026-01-16"}
    assert sum(len(_texts(path)) for path in files if "broken" not in path.name) == drop.report.pages


@pytest.mark.parametrize(("kind", "pages"), [("letter", 2), ("table", 1)])
def test_born_digital_pages_have_their_text(drop: Drop, kind: str, pages: int) -> None:
    """Every page names a patient of the world as its record does, and holds no image."""
    path = _one(drop, kind)
    texts = _texts(path)
    assert len(texts) == pages
    patients = {
        f"Patient: {' '.join(one['name'][0]['given'])} {one['name'][0]['family']}": one["identifier"][0]["value"]
        for one in drop.resources()
        if one["resourceType"] == "Patient" and "id" in one
    }
    for text in texts:
        (number,) = [number for name, number in patients.items() if name in text]
        assert f"MRN: {number}" in text
    assert _images(path) == [[]] * pages
    assert "Creatinine" in texts[-1]


@pytest.mark.parametrize(("kind", "pages"), [("scan", 1), ("scanletter", 2)])
def test_scans_are_images_alone(drop: Drop, kind: str, pages: int) -> None:
    """No text layer; one image a page, of A4 at 200 dots an inch."""
    path = _one(drop, kind)
    assert not any(text.strip() for text in _texts(path))
    images = _images(path)
    assert len(images) == pages
    for (found,) in images:
        assert found == pytest.approx((1653, 2338), abs=2)


def test_scans_show_the_page(drop: Drop) -> None:
    """The image has ink on light paper, and paper that is not all of one colour: noise is there."""
    with pdfium.PdfDocument(_one(drop, "scan")) as document:
        pixels = document[0].render(scale=1, grayscale=True).to_pil()
    counts = pixels.histogram()
    assert sum(counts[:100]) > 500
    assert sum(counts[200:]) > 0.8 * sum(counts)
    assert sum(count > 100 for count in counts[200:]) > 5


def test_the_blank_page(drop: Drop) -> None:
    """The second page holds nothing at all."""
    path = _one(drop, "blank")
    first, second = _texts(path)
    assert "Discharge letter" in first
    assert second == ""
    with pdfium.PdfDocument(path) as document:
        assert list(document[1].get_objects()) == []


def test_the_broken_document(drop: Drop) -> None:
    """It begins as a PDF does and cannot be opened."""
    path = _one(drop, "broken")
    assert path.read_bytes().startswith(b"%PDF-")
    with pytest.raises(pdfium.PdfiumError):
        pdfium.PdfDocument(path)


def test_more_documents_than_patients(written: Any) -> None:
    """Documents go round the patients there are; each has its own file and its own reference."""
    made = written(patients=1, documents=4, days=1)
    assert made.report.documents == len(list((made.root / "docs").rglob("*.pdf"))) == 4
    assert made.report.records["DocumentReference"] == 5


@pytest.mark.parametrize("days", [1, 2])
def test_no_document_is_about_someone_unknown(days: int) -> None:
    """Whoever a document is about is in the drop under that id: not renamed by a Bundle, not to come tomorrow."""
    persons = {person.number for _, person in _plan(7, 50, 100, days)}
    assert len(persons) > 30
    assert {shape_of(number) for number in persons} == {Shape.LINES}
    assert any(map(is_newcomer, persons)) == (days == 1)
