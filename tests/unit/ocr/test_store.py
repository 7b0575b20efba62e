from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from airflow_lakehouse.exceptions import OcrError
from airflow_lakehouse.ocr.folder import open_folder
from airflow_lakehouse.ocr.results import ResultWriter, noted_again
from airflow_lakehouse.ocr.store import BatchReport, DocumentToRead, read_batch
from airflow_lakehouse.parsers.documents import DocumentsParser, lakehouse_parsers
from airflow_lakehouse.parsing.model import Rejected, Row, SourceFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.ocr.blocks import PageRead


@pytest.fixture
def drop(tmp_path: Path) -> Callable[[str, bytes], SourceFile]:
    """Return a function that puts a document into a drop."""

    def put(name: str, data: bytes) -> SourceFile:
        path = tmp_path / name
        path.write_bytes(data)
        etag = hashlib.sha256(data).hexdigest()
        return SourceFile(f"file://{path}", etag, len(data), "2026-01-15", "clinic", str(tmp_path / "ocr"))

    return put


def _read(*files: SourceFile, **options: Any) -> BatchReport:
    return read_batch(files, textract_dir=files[0].textract, engine="none", **options)


def _rows(file: SourceFile) -> list[Row | Rejected]:
    with Path(file.uri.removeprefix("file://")).open("rb") as stream:
        return list(DocumentsParser().parse(file, stream))


def _snapshot(root: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(root).rglob("*") if path.is_file()}


def test_pages_and_blocks_become_rows(drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes]) -> None:
    """Every page is one row, every block another, and an empty page is blank rather than lost."""
    file = drop("a.pdf", make_pdf(["Sodium 139\nPotassium 5.6", ""]))
    report = _read(file)
    assert report.counts() == {
        "documents": 1,
        "read": 1,
        "reused": 0,
        "unreadable": 0,
        "pages_ok": 1,
        "pages_blank": 1,
        "pages_failed": 0,
        "rejected": {},
        "seconds": report.counts()["seconds"],
    }
    rows = [row for row in _rows(file) if isinstance(row, Row)]
    pages = [row.values for row in rows if row.table == "bronze_docs_pages"]
    blocks = [row.values for row in rows if row.table == "bronze_docs_text"]
    assert [(page["page"], page["status"], page["reason"], page["pages_in_document"]) for page in pages] == [
        (1, "ok", None, 2),
        (2, "blank", "EMPTY_PAGE", 2),
    ]
    assert [page["blocks"] for page in pages] == [7, 1]
    assert [block["text"] for block in blocks if block["block_type"] == "LINE"] == ["Sodium 139", "Potassium 5.6"]
    assert {block["confidence_source"] for block in blocks if block["text"]} == {"text_layer"}
    assert {block["doc_id"] for block in blocks} == {file.etag}


def test_rows_have_columns_of_their_tables_alone(
    drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes]
) -> None:
    """The parser fills every column of its tables that does not come from the load, and no other."""
    from airflow_lakehouse.tables import bronze

    file = drop("a.pdf", make_pdf(["text"]))
    _read(file)
    loaded = {column.name for column in bronze.PROVENANCE}
    for table in DocumentsParser.tables:
        row = next(row for row in _rows(file) if isinstance(row, Row) and row.table == table.name)
        assert set(row.values) == set(table.column_names) - loaded


def test_reading_again_changes_nothing(drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes]) -> None:
    """A second batch over the same files reads none of them and writes no byte."""
    files = [drop("a.pdf", make_pdf(["one"])), drop("b.pdf", make_pdf(["two"]))]
    _read(*files)
    before = _snapshot(files[0].textract)
    report = _read(*files)
    assert (report.read, report.reused, report.pages_ok) == (0, 2, 2)
    assert _snapshot(files[0].textract) == before


def test_the_same_bytes_under_two_names_are_read_once(
    drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes]
) -> None:
    """Both names get rows; the pages were read for one of them."""
    data = make_pdf(["one"])
    files = [drop("a.pdf", data), drop("b.pdf", data)]
    report = _read(*files, workers=2)
    assert (report.read, report.reused) == (1, 1)
    first, second = (_rows(file) for file in files)
    assert first == second
    assert len(report.manifests) == 2


def test_a_killed_batch_goes_on_where_it_stopped(
    drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that were stored before the kill are not read again, and the outcome is that of an undisturbed run."""
    file = drop("a.pdf", make_pdf(["one", "two", "three", "four"]))
    stored: list[int] = []
    add = ResultWriter.add

    def dies_after_two(self: ResultWriter, read: PageRead) -> None:
        if len(stored) == 2:
            raise KeyboardInterrupt
        stored.append(read.result.page)
        add(self, read)

    monkeypatch.setattr(ResultWriter, "add", dies_after_two)
    with pytest.raises(KeyboardInterrupt):
        _read(file)
    assert not DocumentsParser().is_ready(file)
    again: list[int] = []

    def notes(self: ResultWriter, read: PageRead) -> None:
        again.append(read.result.page)
        add(self, read)

    monkeypatch.setattr(ResultWriter, "add", notes)
    assert _read(file).pages_ok == 4
    assert (stored, again) == ([1, 2], [3, 4])
    assert [row.position for row in _rows(file) if isinstance(row, Row) and row.table == "bronze_docs_pages"] == [
        1, 2, 3, 4,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "EMPTY_FILE"),
        (b"<html>not found</html>", "NOT_A_PDF"),
        (b"%PDF-1.7\nand then nothing of use", "CORRUPT_PDF"),
    ],
)
def test_what_is_no_document_is_rejected_by_name(drop: Callable[..., SourceFile], data: bytes, reason: str) -> None:
    """A broken file named .pdf is claimed, rejected with a reason, and keeps its bytes."""
    file = drop("a.pdf", data)
    assert DocumentsParser().claims(file, data)
    assert _read(file).rejected == {reason: 1}
    (row,) = _rows(file)
    assert isinstance(row, Rejected)
    assert (row.position, row.reason, row.raw) == (0, reason, data)


def test_a_file_that_vanished_does_not_stop_the_batch(
    drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes]
) -> None:
    """The others are read; the lost one is counted and has no result."""
    gone, here = drop("a.pdf", make_pdf(["one"])), drop("b.pdf", make_pdf(["two"]))
    Path(gone.uri.removeprefix("file://")).unlink()
    report = _read(gone, here)
    assert (report.unreadable, report.read) == (1, 1)
    assert not DocumentsParser().is_ready(gone)


def test_results_that_cannot_be_stored_stop_the_batch(
    drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes], tmp_path: Path
) -> None:
    """A results folder that cannot be written is an error of the run, not of the documents."""
    file = drop("a.pdf", make_pdf(["one"]))
    (tmp_path / "ocr").write_bytes(b"a file where the folder should be")
    with pytest.raises(OSError, match="ocr"):
        _read(file)


def test_a_document_that_nobody_read_is_said_to_be(
    drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes]
) -> None:
    """Loading before reading names the missing step instead of giving no rows."""
    (row,) = _rows(drop("a.pdf", make_pdf(["one"])))
    assert isinstance(row, Rejected)
    assert row.reason == "NOT_READ"


def test_stored_results_have_the_shape_of_textract(
    drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes]
) -> None:
    """Pages are files with numeric names that hold a Get response; the manifest stands beside them."""
    file = drop("a.pdf", make_pdf(["one", "two"]))
    report = _read(file)
    folder = Path(report.manifests[0].removeprefix("file://")).parent
    assert folder.parent.name == file.etag
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "document.json"]
    page = json.loads((folder / "2").read_text(encoding="utf-8"))
    assert page["JobStatus"] == "SUCCEEDED"
    assert {block["Page"] for block in page["Blocks"]} == {2}


def test_progress_is_reported_for_every_document(
    drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes]
) -> None:
    """The caller hears of each document once, read or not."""
    files = [drop(f"{name}.pdf", make_pdf([name])) for name in "abc"]
    heard: list[DocumentToRead] = []
    _read(*files, workers=2, on_progress=lambda outcome: heard.append(outcome.document))
    assert {one.source_uri for one in heard} == {file.uri for file in files}
    assert len(heard) == 3


def test_an_unknown_engine_is_refused_before_anything_is_written(
    drop: Callable[..., SourceFile], make_pdf: Callable[..., bytes]
) -> None:
    """A configuration error leaves no trace."""
    file = drop("a.pdf", make_pdf(["one"]))
    with pytest.raises(OcrError, match="not available"):
        read_batch([file], textract_dir=file.textract, engine="textract")
    assert not Path(file.textract).exists()


@pytest.mark.parametrize(
    ("uri", "head", "claimed"),
    [
        ("file:///drop/a.bin", b"%PDF-1.4", True),
        ("file:///drop/a.bin", b"\x00" * 900 + b"%PDF-1.4", True),
        ("file:///drop/a.bin", b"\x00" * 1100 + b"%PDF-1.4", False),
        ("file:///drop/A.PDF", b"", True),
        ("file:///drop/a.ndjson", b'{"resourceType": "Patient"}', False),
    ],
)
def test_claims_by_content_or_by_name(uri: str, head: bytes, *, claimed: bool) -> None:
    """PDFs are known by their first bytes; what is only named like one is claimed to be rejected for what it is."""
    (parser,) = lakehouse_parsers()
    assert parser.claims(SourceFile(uri, "e", 1), head) is claimed


def test_a_password_that_comes_later_opens_what_was_rejected(drop: Callable[..., SourceFile]) -> None:
    """A document rejected for want of a password is read once there is one, and noted to be loaded again."""
    data = BytesIO()
    canvas = Canvas(data, encrypt=StandardEncryption("s3cr3t"), invariant=True)
    canvas.drawString(50, 500, "Sodium 139")
    canvas.save()
    file = drop("locked.pdf", data.getvalue())
    assert _read(file).rejected == {"ENCRYPTED": 1}
    assert (_read(file).reused, _read(file, password="wrong").rejected) == (1, {"WRONG_PASSWORD": 1})
    report = _read(file, password="s3cr3t")
    assert (report.read, report.pages_ok, report.rejected) == (1, 1, {})
    assert [pointer.source_uri for pointer in noted_again(open_folder(file.textract)).values()] == [file.uri]
    assert _read(file, password="s3cr3t").reused == 1
    assert not any(b"s3cr3t" in stored for stored in _snapshot(file.textract).values())
