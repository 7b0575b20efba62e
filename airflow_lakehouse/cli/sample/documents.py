"""PDFs of the drop: letters and lab tables with a text layer, scans without one, one that is broken."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow_lakehouse.cli.sample.report import SampleReport
    from airflow_lakehouse.cli.sample.world import Person

_MARGIN: Final = 72
_LINE: Final = 18
_DPI: Final = 200
_SKEW_DEGREES: Final = 0.6
_LETTER_LINES: Final = (
    "Dear colleague,",
    "thank you for referring this patient to our clinic.",
    "The patient was seen for a routine follow-up visit.",
    "Blood pressure was 128/82 mmHg, heart rate 71 per minute.",
    "Metformin 500 mg twice daily was continued.",
    "We recommend a control of HbA1c in three months.",
)
_TABLE: Final = (
    ("Test", "Result", "Unit", "Reference"),
    ("Glucose", "102", "mg/dL", "70 - 110"),
    ("Creatinine", "0.94", "mg/dL", "0.60 - 1.20"),
    ("HbA1c", "6.30", "%", "4.00 - 6.00"),
    ("Sodium", "139", "mmol/L", "135 - 145"),
)


def write_documents(folder: Path, plan: list[tuple[str, str, Person]], seed: int, report: SampleReport) -> None:
    """Write PDFs.

    :param folder: for them.
    :param plan: file name, kind (one of :data:`KINDS`) and patient of each.
    :param seed: of the noise of scans.
    :param report: counts what is written.
    """
    for name, kind, person in plan:
        folder.mkdir(parents=True, exist_ok=True)
        content, pages = KINDS[kind](person, random.Random(f"{seed}/{name}"))  # noqa: S311 - sample data
        (folder / name).write_bytes(content)
        report.files += 1
        report.documents += 1
        report.pages += pages


def _letter(person: Person, chance: random.Random) -> tuple[bytes, int]:
    del chance
    return _drawn(lambda pdf: (_draw_letter(pdf, person), pdf.showPage(), _draw_table(pdf, person))), 2


def _table(person: Person, chance: random.Random) -> tuple[bytes, int]:
    del chance
    return _drawn(lambda pdf: _draw_table(pdf, person)), 1


def _with_blank(person: Person, chance: random.Random) -> tuple[bytes, int]:
    del chance
    return _drawn(lambda pdf: (_draw_letter(pdf, person), pdf.showPage())), 2


def _scan(person: Person, chance: random.Random) -> tuple[bytes, int]:
    from PIL import Image
    from pypdfium2 import PdfDocument
    from reportlab.lib.utils import ImageReader

    digital, _ = _table(person, chance)
    with PdfDocument(digital) as document:
        page = document[0].render(scale=_DPI / 72, grayscale=True).to_pil()
    noise = Image.frombytes("L", (page.width // 4, page.height // 4), chance.randbytes((page.width // 4) * (page.height // 4)))
    page = page.rotate(_SKEW_DEGREES, fillcolor=255)
    page = Image.blend(page, noise.resize(page.size), 0.06)
    stored = io.BytesIO()
    page.save(stored, "JPEG", quality=70)
    width, height = page.width * 72 / _DPI, page.height * 72 / _DPI
    stored.seek(0)
    return _drawn(lambda pdf: pdf.drawImage(ImageReader(stored), 0, 0, width, height)), 1


def _broken(person: Person, chance: random.Random) -> tuple[bytes, int]:
    content, _ = _letter(person, chance)
    # A transfer that stopped: the header is there, the table of objects is not.
    return content[: len(content) // 5], 0


KINDS: Final[dict[str, Callable[[Person, random.Random], tuple[bytes, int]]]] = {
    "letter": _letter,
    "scan": _scan,
    "blank": _with_blank,
    "table": _table,
    "scan2": _scan,
    "broken": _broken,
}
"""Kinds of documents, in the order in which a sample takes them in turn."""


def _drawn(draw: Callable[[Any], object]) -> bytes:
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    content = io.BytesIO()
    # Invariant: without the time of day, the same page gives the same bytes.
    pdf = Canvas(content, pagesize=A4, invariant=1)
    draw(pdf)
    pdf.showPage()
    pdf.save()
    return content.getvalue()


def _draw_letter(pdf: Any, person: Person) -> None:
    lines = ("Riverside Clinic", "Discharge letter", f"Patient: {_ascii(person)}  MRN: {person.mrn}", *_LETTER_LINES)
    for number, line in enumerate(lines):
        pdf.setFont("Helvetica-Bold" if number < 2 else "Helvetica", 14 if number < 2 else 11)  # noqa: PLR2004
        pdf.drawString(_MARGIN, 770 - number * _LINE, line)


def _draw_table(pdf: Any, person: Person) -> None:
    pdf.setFont("Helvetica-Bold", 14)
    pdf.drawString(_MARGIN, 770, "Laboratory report")
    pdf.setFont("Helvetica", 11)
    pdf.drawString(_MARGIN, 740, f"Patient: {_ascii(person)}  MRN: {person.mrn}")
    for row, cells in enumerate(_TABLE):
        for column, cell in enumerate(cells):
            pdf.drawString(_MARGIN + column * 115, 700 - row * 24, cell)
        pdf.line(_MARGIN - 6, 694 - row * 24, _MARGIN + 440, 694 - row * 24)


def _ascii(person: Person) -> str:
    """Return a name that the standard fonts of PDF have the letters for."""
    return f"{person.given} {person.family}".encode("latin-1", "replace").decode("latin-1")
