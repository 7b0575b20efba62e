"""Documents after they were loaded: linked by a manifest, read again, looked at by people. No row is left over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.ocr import results, reviews
from airflow_lakehouse.ocr.flatten import Origin, pages_of
from airflow_lakehouse.ocr.folder import open_folder
from airflow_lakehouse.ocr.reader import DocumentResult, sha256_of
from airflow_lakehouse.spark.documents import review
from tests.spark.test_attachments import pdf, run

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile

MANIFEST = """document,patient_id,encounter_id
a.pdf,Patient/p1,e1
sub/b.pdf,,Encounter/e2
,p9,
c.pdf,,
"""


@pytest.fixture
def lakehouse(warehouse: Profile, tmp_path: Path) -> Profile:
    """Return a lakehouse that reads text layers alone, with two documents and their manifest in its drop."""
    day = tmp_path / "raw" / "docs" / "dt=2026-01-02"
    (day / "sub").mkdir(parents=True)
    (day / "a.pdf").write_bytes(pdf("Sodium 139 mmol"))
    (day / "sub" / "b.pdf").write_bytes(pdf("Potassium 4.1"))
    (day / "manifest.csv").write_text(MANIFEST)
    return replace(warehouse, raw=str(tmp_path / "raw"), ocr="none")


def _lines(profile: Profile, table: str = "silver.silver_fct_doc_blocks") -> dict[str, list[dict[str, Any]]]:
    """Return the lines of each document, by the name of its file."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in read_rows(profile, table):
        if row["block_type"] == "LINE":
            found.setdefault(row["source_uri"].rpartition("/")[2], []).append(row)
    return found


def _read_by_textract(profile: Profile, name: str) -> None:
    """Store what another engine has read of a document, as its operator does."""
    (path,) = Path(profile.raw or "").rglob(name)
    folder = open_folder(profile.textract_uri)
    doc_id, uri = sha256_of(path), f"file://{path}"
    response = {"Blocks": [{"Id": "l", "BlockType": "LINE", "Text": "Natrium 139", "Confidence": 71.5, "Page": 1}]}
    result = DocumentResult(doc_id, "textract", "1.0", pages=1)
    place = results.result_folder(doc_id, "textract", "1.0")
    writer = results.ResultWriter(folder, place)
    for read in pages_of([response], Origin(doc_id, engine_version="1.0", job_id="job-1")):
        writer.add(read)
        result.results.append(read.result)
    writer.finish(result)
    results.write_pointer(folder, results.Pointer(uri, doc_id, place, doc_id, "textract", "1.0", pinned=True))


def test_what_a_document_says_now_is_all_that_is_there(lakehouse: Profile) -> None:
    """A manifest names the patient; a second reading with fewer blocks, and a person's decision, replace every row."""
    told = run(lakehouse)
    first = _lines(lakehouse)
    assert {name: [line["text"] for line in lines] for name, lines in first.items()} == {
        "a.pdf": ["Sodium 139 mmol"],
        "b.pdf": ["Potassium 4.1"],
    }
    links = {name: (lines[0]["patient_id"], lines[0]["encounter_id"]) for name, lines in first.items()}
    assert links == {"a.pdf": ("p1", "e1"), "b.pdf": (None, "e2")}
    assert told["quarantine"] == {"NO_DOCUMENT": 1, "NO_SUBJECT": 1}
    counted = {row["class"]: row["rows"] for row in read_rows(lakehouse, "ops.reconciliation")
               if row["table_name"] == "bronze_docs_pages"}  # fmt: skip
    assert {name: counted[f"pages_{name}"] for name in ("expected", "ok", "blank", "failed")} == {
        "expected": 2,
        "ok": 2,
        "blank": 0,
        "failed": 0,
    }

    _read_by_textract(lakehouse, "a.pdf")
    run(lakehouse)
    for table in ("bronze.bronze_docs_text", "silver.silver_fct_doc_blocks"):
        rows = [row for row in read_rows(lakehouse, table) if row["source_uri"].endswith("a.pdf")]
        assert sorted((row["block_type"], row["text"], row["engine"], row["job_id"]) for row in rows) == [
            ("LINE", "Natrium 139", "textract", "job-1"),
            ("PAGE", None, "textract", "job-1"),
        ], table
    (page,) = (row for row in read_rows(lakehouse, "bronze.bronze_docs_pages") if row["source_uri"].endswith("a.pdf"))
    assert (page["engine"], page["blocks"], page["ingested_at"]) == ("textract", 2, first["a.pdf"][0]["ingested_at"])
    assert _lines(lakehouse)["b.pdf"] == first["b.pdf"]

    (doubtful,) = review.doubtful_pages(lakehouse, 85.0, 10)
    assert (doubtful["doc_id"], doubtful["page"], doubtful["confidence"]) == (page["doc_id"], 1, 71.5)
    decided = [review.Decided(doubtful, reviews.REJECTED, "a nurse", "2026-01-03")]
    assert review.apply(lakehouse, decided, "none")["rejected"] == 1
    told = run(lakehouse)
    assert (told["files"]["loaded"], told["files"]["skipped"]) == (1, 2)
    assert review.doubtful_pages(lakehouse, 85.0, 10) == []
    assert set(_lines(lakehouse)) == {"b.pdf"}
    (kept,) = _lines(lakehouse, "bronze.bronze_docs_text")["a.pdf"]
    assert (kept["text"], kept["review"]) == ("Natrium 139", "rejected")
