"""Documents nobody here wrote: none may crash or hang the reader, and every page must have an outcome."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pypdfium2 as pdfium
import pytest

from airflow_lakehouse.ocr import blocks
from airflow_lakehouse.ocr.limits import Limits
from airflow_lakehouse.ocr.reader import DocumentResult, Worker, sha256_of
from airflow_lakehouse.ocr.store import DocumentOutcome, DocumentToRead, read_batch

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA: Final = Path(__file__).parents[3] / "shared" / "data" / "docs"
FOLDERS: Final = ("pdfs", "fhir-attachments", "textract-sources")

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real documents are not beside the project: ../shared/data"),
]

REJECTED: Final = {
    "amazon-textract-textractor__invalid.pdf": "CORRUPT_PDF",
    "pdfjs__poppler-742-0-fuzzed.pdf": "CORRUPT_PDF",
    "pdfjs__xfa_filled_imm1344e.pdf": "XFA_FORM",
    "pdfminersix__aes-256.pdf": "ENCRYPTED",
    "pdfplumber__empty.pdf": "EMPTY_FILE",
}
FAILED: Final = {
    ("pdfjs__Pages-tree-refs.pdf", "PAGE_LOAD_FAILED"): 1,
    ("pdfjs__poppler-85140-0.pdf", "PAGE_SIZE"): 1,
    # Eight scanned pages with garbage beneath; two are enough here.
    ("pdfjs__issue12963.pdf", "OCR_PAGE_LIMIT"): 6,
}
READ_BY_OCR: Final = {
    "form.png": (1, "NO_TEXT_LAYER"),
    "paystub.jpg": (1, "NO_TEXT_LAYER"),
    "pdfjs__freeculture.pdf": (1, "NO_TEXT_LAYER"),
    "pdfjs__issue12963.pdf": (2, "HIDDEN_TEXT_LAYER"),
    "pdfjs__issue20232.pdf": (1, "GARBLED_TEXT_LAYER"),
    "pdfjs__issue5747.pdf": (1, "HIDDEN_TEXT_LAYER"),
    "single-page-1.png": (1, "NO_TEXT_LAYER"),
    "twocol-header-footer-test-document.png": (1, "NO_TEXT_LAYER"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DocumentOutcome]:
    """Every document of the data, read once."""
    paths = [path for folder in FOLDERS for path in sorted((DATA / folder).iterdir()) if path.suffix != ".json"]
    found: list[DocumentOutcome] = []
    read_batch(
        [DocumentToRead(f"file://{path}", sha256_of(path)) for path in paths],
        textract_dir=tmp_path_factory.mktemp("ocr"),
        engine="local",
        limits=Limits(ocr_pages=2, page_seconds=60),
        on_progress=found.append,
    )
    assert len(found) == len(paths)
    return {Path(one.document.source_uri).name: one for one in found}


def test_every_document_has_an_outcome(outcomes: dict[str, DocumentOutcome]) -> None:
    """No document is lost, and those that cannot be read are rejected for the reason they were collected for."""
    assert all(one.manifest is not None for one in outcomes.values())
    rejected = {
        name: one.manifest.reason for name, one in outcomes.items() if one.manifest and one.manifest.is_rejected
    }
    assert rejected == REJECTED


def test_pages_add_up(outcomes: dict[str, DocumentOutcome]) -> None:
    """For every document: pages expected = ok + blank + failed, each page once and in order."""
    for name, one in outcomes.items():
        manifest = one.manifest
        assert manifest is not None
        if manifest.is_rejected:
            continue
        assert [page.page for page in manifest.results] == list(range(1, manifest.pages + 1)), name
        assert sum(manifest.count(status) for status in blocks.STATUSES) == manifest.pages > 0, name
        assert all(page.reason for page in manifest.results if page.status != blocks.OK), name


def test_failed_pages_are_the_known_ones(outcomes: dict[str, DocumentOutcome]) -> None:
    """A page fails for a reason of its own: a broken page tree, an impossible size, a limit that was asked for."""
    failed = Counter(
        (name, page.reason)
        for name, one in outcomes.items()
        if one.manifest
        for page in one.manifest.results
        if page.status == blocks.FAILED
    )
    assert failed == FAILED


def test_ocr_is_used_where_the_text_layer_misleads(outcomes: dict[str, DocumentOutcome]) -> None:
    """Scans, garbage beneath scans and a font that lies about its letters are read by OCR; nothing else is."""
    read = {}
    for name, one in outcomes.items():
        pages = [page for page in one.manifest.results if page.method == blocks.OCR] if one.manifest else []
        if pages:
            read[name] = (len(pages), pages[0].method_reason)
    assert read == READ_BY_OCR


def test_text_layers_are_fast(outcomes: dict[str, DocumentOutcome]) -> None:
    """The 351 text pages of a book take well under a tenth of a second each, on a busy machine too."""
    manifest = outcomes["pdfjs__freeculture.pdf"].manifest
    assert manifest is not None
    seconds = [page.seconds or 0.0 for page in manifest.results if page.method == blocks.TEXT_LAYER]
    assert len(seconds) == 351
    assert sorted(seconds)[len(seconds) // 2] < 0.1


# ---------------------------------------------------------------------------------------------------- clinical scans


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One reading process for all scans: its models are loaded once."""
    with Worker("local") as one:
        yield one


@pytest.fixture(scope="module")
def truth() -> list[list[str]]:
    """Give the words on the five clinical pages."""
    pages: list[list[str]] = json.loads((DATA / "scans" / "truth.json").read_text(encoding="utf-8"))
    return [" ".join(lines).split() for lines in pages]


def _words(result: DocumentResult, page: int) -> list[str]:
    found = result.page_reads[page].blocks
    return [block.text or "" for block in found if block.block_type == blocks.WORD]


def _recall(wanted: list[str], found: list[str]) -> float:
    return sum((Counter(wanted) & Counter(found)).values()) / len(wanted)


@pytest.mark.parametrize(
    ("name", "least", "method"),
    [
        ("digital.pdf", 1.0, blocks.TEXT_LAYER),
        ("scan_clean200.pdf", 0.97, blocks.OCR),
        ("scan_typ200.pdf", 0.99, blocks.OCR),
        ("scan_bad150.pdf", 0.99, blocks.OCR),
    ],
)
def test_words_of_clinical_pages(worker: Worker, truth: list[list[str]], name: str, least: float, method: str) -> None:
    """Word recall, exact strings, on five clinical pages: digital, clean, typical and bad scans."""
    path = DATA / "scans" / name
    result = worker.read(path, sha256_of(path))
    assert {page.method for page in result.results} == {method}
    wanted = [f"{page} {word}" for page, words in enumerate(truth) for word in words]
    found = [f"{page} {word}" for page in range(len(truth)) for word in _words(result, page)]
    recall, precision = _recall(wanted, found), _recall(found, wanted)
    print(f"{name}: recall {recall:.4f}, precision {precision:.4f}")  # noqa: T201 - the figure, for pytest -rP
    assert recall >= least
    assert precision >= 0.97


def test_columns_of_a_scan_are_read_one_after_the_other(worker: Worker, truth: list[list[str]], tmp_path: Path) -> None:
    """A discharge summary in two columns, scanned and shown on its side: upright, and in the order it was written."""
    source = pdfium.PdfDocument(DATA / "scans" / "scan_clean200.pdf")
    single = pdfium.PdfDocument.new()
    single.import_pages(source, [2])
    single[0].set_rotation(90)
    path = tmp_path / "sideways.pdf"
    single.save(path)
    single.close()
    source.close()
    result = worker.read(path, sha256_of(path))
    assert [(page.status, page.rotation) for page in result.results] == [("ok", 270)]
    assert result.results[0].height_pt == pytest.approx(842, abs=1)
    assert _words(result, 0) == truth[2]
