"""PDFs of the drop: letters and lab tables with a text layer, scans without one, one that is broken."""

from __future__ import annotations

import importlib.util
import io
import random
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from airflow_lakehouse.cli.sample.report import Tally
    from airflow_lakehouse.cli.sample.world import Person

    Drawer = Callable[["_Case"], tuple[bytes, int]]

_LIBRARIES: Final = ("reportlab", "PIL", "pypdfium2")
_POINTS_PER_INCH: Final = 72
_SCAN_DOTS_PER_INCH: Final = 200
_LEFT: Final = 72
_TOP: Final = 770
_LINE: Final = 18
_ROW: Final = 24
_COLUMN: Final = 115
_MOST_SKEW_DEGREES: Final = 0.8
_NOISE: Final = 0.06
_CLINICS: Final = ("Riverside Clinic", "St. Anne Hospital", "Northgate Medical Center")
_DIAGNOSES: Final = ("type 2 diabetes mellitus", "hypertension", "asthma", "chronic heart failure")
_HEADER: Final = ("Test", "Result", "Unit", "Reference")
_TESTS: Final = (
    ("Glucose", "mg/dL", 70, 180, 0, "70 - 110"),
    ("Creatinine", "mg/dL", 0.5, 2, 2, "0.60 - 1.20"),
    ("HbA1c", "%", 4, 10, 2, "4.00 - 6.00"),
    ("Sodium", "mmol/L", 130, 150, 0, "135 - 145"),
    ("Potassium", "mmol/L", 3.2, 5.4, 1, "3.5 - 5.1"),
    ("Hemoglobin", "g/dL", 9, 17, 1, "12.0 - 16.0"),
)


class _Case:
    """What one document is about, and where its chances come from."""

    def __init__(self, person: Person, chance: random.Random, day: date) -> None:
        self.person, self.chance, self.day = person, chance, day

    @property
    def patient_line(self) -> str:
        """Name, birth and record number, in letters that the standard fonts of PDF have."""
        name = f"{' '.join(self.person.given)} {self.person.family}".encode("latin-1", "replace").decode("latin-1")
        return f"Patient: {name}   Born: {self.person.birth_text}   MRN: {self.person.mrn}"


def require_libraries() -> None:
    """Check that what draws documents is there.

    :raises SetupError: naming what is missing.
    """
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"Sample documents need {', '.join(missing)}",
            remedy="pip install 'airflow-lakehouse[local]', or ask for --documents 0",
        )


def write_documents(folder: Path, plan: list[tuple[str, str, Person]], seed: int, day: date, tally: Tally) -> None:
    """Write PDFs.

    :param folder: for them.
    :param plan: file name, kind (one of :data:`KINDS`) and patient of each.
    :param seed: of values, skew and noise.
    :param day: date of the letters.
    :param tally: counts what is written.
    """
    for name, kind, person in plan:
        folder.mkdir(parents=True, exist_ok=True)
        content, pages = KINDS[kind](_Case(person, random.Random(f"{seed}/{name}"), day))  # noqa: S311 - sample data
        (folder / name).write_bytes(content)
        tally.files += 1
        tally.documents += 1
        tally.pages += pages


def _letter(case: _Case) -> tuple[bytes, int]:
    return _drawn(case, _draw_letter, _draw_table), 2


def _table(case: _Case) -> tuple[bytes, int]:
    return _drawn(case, _draw_table), 1


def _with_blank(case: _Case) -> tuple[bytes, int]:
    return _drawn(case, _draw_letter, _draw_nothing), 2


def _scanned_table(case: _Case) -> tuple[bytes, int]:
    return _scanned(case, _drawn(case, _draw_table)), 1


def _scanned_letter(case: _Case) -> tuple[bytes, int]:
    return _scanned(case, _drawn(case, _draw_letter, _draw_table)), 2


def _broken(case: _Case) -> tuple[bytes, int]:
    content, _ = _letter(case)
    # A transfer that stopped: pages are there, the table of objects is not.
    return content[: len(content) * 7 // 10], 0


KINDS: Final[dict[str, Drawer]] = {
    "letter": _letter,
    "scan": _scanned_table,
    "blank": _with_blank,
    "table": _table,
    "scanletter": _scanned_letter,
    "broken": _broken,
}
"""Kinds of documents, in the order in which a sample takes them in turn."""


def _drawn(case: _Case, *draws: Callable[[Any, _Case], None]) -> bytes:
    """Return a PDF with one page for each function."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    content = io.BytesIO()
    # Invariant: without the time of day, the same page gives the same bytes.
    pdf = Canvas(content, pagesize=A4, invariant=1)
    for draw in draws:
        draw(pdf, case)
        pdf.showPage()
    pdf.save()
    return content.getvalue()


def _scanned(case: _Case, digital: bytes) -> bytes:
    """Return the pages of a PDF as a scanner would give them: images, a little askew, with noise."""
    from pypdfium2 import PdfDocument
    from reportlab.lib.utils import ImageReader

    images = []
    with PdfDocument(digital) as document:
        for number in range(len(document)):
            page = document[number].render(scale=_SCAN_DOTS_PER_INCH / _POINTS_PER_INCH, grayscale=True).to_pil()
            images.append(_worn(page, case.chance))

    def place(image: tuple[io.BytesIO, int, int]) -> Callable[[Any, _Case], None]:
        stored, width, height = image
        scale = _POINTS_PER_INCH / _SCAN_DOTS_PER_INCH
        return lambda pdf, _: pdf.drawImage(ImageReader(stored), 0, 0, width * scale, height * scale)

    return _drawn(case, *map(place, images))


def _worn(page: Any, chance: random.Random) -> tuple[io.BytesIO, int, int]:
    """Return a page as a JPEG, with its width and height in pixels, after it went through a scanner."""
    from PIL import Image

    skew = chance.uniform(-_MOST_SKEW_DEGREES, _MOST_SKEW_DEGREES)
    page = page.rotate(skew, resample=Image.Resampling.BICUBIC, fillcolor=255)
    coarse = (page.width // 4, page.height // 4)
    noise = Image.frombytes("L", coarse, chance.randbytes(coarse[0] * coarse[1])).resize(page.size)
    stored = io.BytesIO()
    Image.blend(page, noise, _NOISE).save(stored, "JPEG", quality=70)
    return stored, page.width, page.height


def _draw_letter(pdf: Any, case: _Case) -> None:
    chance = case.chance
    pdf.setFont("Helvetica-Bold", 14)
    pdf.drawString(_LEFT, _TOP, chance.choice(_CLINICS))
    pdf.drawString(_LEFT, _TOP - _LINE, "Discharge letter")
    pdf.setFont("Helvetica", 11)
    lines = (
        f"Date: {case.day}",
        case.patient_line,
        "",
        "Dear colleague,",
        f"thank you for referring this patient, whom we treated for {chance.choice(_DIAGNOSES)}.",
        f"Blood pressure at discharge was {chance.randint(105, 160)}/{chance.randint(60, 95)} mmHg.",
        f"Heart rate was {chance.randint(55, 100)} per minute.",
        f"Metformin {chance.choice((500, 850, 1000))} mg twice daily was continued.",
        f"We recommend a control of HbA1c in {chance.choice(('two', 'three', 'six'))} months.",
        "",
        "With kind regards",
    )
    for number, line in enumerate(lines, 2):
        pdf.drawString(_LEFT, _TOP - number * _LINE, line)


def _draw_table(pdf: Any, case: _Case) -> None:
    pdf.setFont("Helvetica-Bold", 14)
    pdf.drawString(_LEFT, _TOP, "Laboratory report")
    pdf.setFont("Helvetica", 11)
    pdf.drawString(_LEFT, _TOP - 30, case.patient_line)
    rows = [_HEADER]
    for name, unit, low, high, digits, usual in _TESTS:
        rows.append((name, f"{case.chance.uniform(low, high):.{digits}f}", unit, usual))
    for row, cells in enumerate(rows):
        height = _TOP - 70 - row * _ROW
        for column, cell in enumerate(cells):
            pdf.drawString(_LEFT + column * _COLUMN, height, cell)
        pdf.line(_LEFT - 6, height - 6, _LEFT + 4 * _COLUMN - 20, height - 6)


def _draw_nothing(pdf: Any, case: _Case) -> None:
    """Leave the page blank."""
