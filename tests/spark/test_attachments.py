"""Attachments inside records: each has an outcome, PDFs are written once, read, and joined to their patient."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from reportlab.pdfgen.canvas import Canvas

from airflow_lakehouse.cli.pipeline import Request, run_pipeline
from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.spark.documents import attachments
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from tests.spark.helpers import snapshots, write_lines

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile


def pdf(text: str) -> bytes:
    """Return a PDF of one page with a text layer."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1)
    canvas.drawString(72, 720, text)
    canvas.save()
    return buffer.getvalue()


def reference(id_: str, patient: str, *sent: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a DocumentReference."""
    return {
        "resourceType": "DocumentReference",
        "id": id_,
        "status": "current",
        "subject": {"reference": f"Patient/{patient}"},
        "context": {"encounter": [{"reference": f"Encounter/e-{patient}"}]},
        "content": [{"attachment": attachment} for attachment in sent],
        **more,
    }


def inline(content: bytes, content_type: str = "application/pdf", **more: Any) -> dict[str, Any]:
    """Return an attachment that holds its content."""
    return {"contentType": content_type, "data": base64.b64encode(content).decode(), **more}


def sha1(content: bytes) -> str:
    """Return the hash FHIR wants."""
    return base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


@pytest.fixture
def lakehouse(warehouse: Profile, tmp_path: Path) -> Profile:
    """Return a lakehouse that reads text layers alone."""
    return replace(warehouse, raw=str(tmp_path / "raw"), ocr="none")


def run(profile: Profile, **more: Any) -> dict[str, Any]:
    """Run everything but gold."""
    return run_pipeline(Request(profile, through="silver", **more))


def outcomes(profile: Profile) -> dict[str, list[tuple[Any, ...]]]:
    """Return what became of every attachment, by resource."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    rows = read_rows(profile, "bronze.bronze_attachments")
    for row in sorted(rows, key=lambda row: (row["resource_id"], row["attachment"])):
        found.setdefault(row["resource_id"], []).append((row["outcome"], row["reason"], *row["flags"]))
    return found


def pages(profile: Profile) -> set[tuple[Any, ...]]:
    """Return the link of every document that has a line of text."""
    names = ("source_system", "text", "patient_id", "encounter_id", "document_reference_id", "diagnostic_report_id")
    rows = read_rows(profile, "silver.silver_fct_doc_blocks")
    return {(*(row[name] for name in names), *row["flags"]) for row in rows if row["block_type"] == "LINE"}


def extracted(profile: Profile) -> list[str]:
    """Return the names of the extracted files."""
    return sorted(path.name for path in Path(profile.textract_uri, attachments.FOLDER).glob("*"))


def every_kind(letter: bytes, root: str) -> list[dict[str, Any]]:
    """Return records with attachments of every kind; their ids are those of :data:`OUTCOMES`."""
    good = inline(letter)
    broken = {"contentType": "application/pdf", "data": good["data"][:50] + "*!*" + good["data"][50:]}
    wrapped = {"contentType": "application/pdf", "data": "\r\n".join(good["data"].partition("i"))}
    return [
        reference("right", "a", inline(letter, size=len(letter), hash=sha1(letter))),
        reference("hex", "a", inline(letter, hash=hashlib.sha1(letter, usedforsecurity=False).hexdigest())),
        reference("wrapped", "a", wrapped),
        reference("wrong-type", "a", inline(letter, "text/plain")),
        reference("wrong-hash", "a", inline(letter, hash=sha1(b"another"))),
        reference("wrong-size", "a", inline(letter, size=len(letter) + 1)),
        reference("broken", "a", broken),
        reference("no-pdf", "a", inline(b"PK\x03\x04 a spreadsheet")),
        reference("text", "a", inline(b"a plain note", "text/plain; charset=utf-8")),
        reference("empty", "a", inline(b""), {}, {"contentType": "application/pdf"}),
        reference("remote", "a", {"url": "https://example.org/letter.pdf"}, {"url": "HTTP://example.org/x"}),
        reference("outside", "a", {"url": "s3://other/letter.pdf"}, {"url": "file:///etc/passwd"}),
        reference("climbs", "a", {"url": "../../secret.pdf"}, {"url": "a/../../b.pdf"}, {"url": "/etc/passwd"}),
        reference("strange", "a", {"url": "urn:uuid:0"}, {"url": "mailto:a@example.org"}),
        reference("by-url", "a", {"url": "docs/x.pdf"}, {"url": f"file://{root}/docs/x.pdf"}),
        reference("waits", "a", {"url": "Binary/none"}),
        reference("two", "a", inline(pdf("Another letter.")), inline(b"a picture", "image/png")),
        reference("contained", "a", {"url": "#b"}, contained=[{"resourceType": "Binary", "id": "b", **good}]),
        reference("none", "a"),
        {"resourceType": "DiagnosticReport", "id": "report", "presentedForm": [good]},
    ]


OUTCOMES = {
    "right": [("extracted", None)],
    "hex": [("extracted", None)],
    "wrapped": [("extracted", None)],
    "wrong-type": [("extracted", None, "WRONG_CONTENT_TYPE")],
    "wrong-hash": [("extracted", None, "WRONG_HASH")],
    "wrong-size": [("extracted", None, "WRONG_SIZE")],
    "broken": [("rejected", "BROKEN_BASE64")],
    "no-pdf": [("rejected", "NOT_A_PDF")],
    "text": [("skipped", "NOT_A_PDF")],
    "empty": [("rejected", "NO_CONTENT")] * 3,
    "remote": [("rejected", "REMOTE_URL")] * 2,
    "outside": [("rejected", "OUTSIDE_DROP")] * 2,
    "climbs": [("rejected", "OUTSIDE_DROP")] * 3,
    "strange": [("rejected", "UNRESOLVED_URL")] * 2,
    "by-url": [("by_url", None)] * 2,
    "waits": [("waiting", "UNRESOLVED_BINARY")],
    "two": [("extracted", None), ("skipped", "NOT_A_PDF")],
    "contained": [("extracted", None)],
    "report": [("extracted", None)],
}


def test_every_attachment_has_its_outcome(lakehouse: Profile, tmp_path: Path) -> None:
    """The bytes decide what is extracted; what is wrong with the rest has a reason, and the record always loads."""
    letter = pdf("A letter.")
    records = every_kind(letter, lakehouse.raw or "")
    write_lines(tmp_path / "raw" / "fhir" / "dt=2026-01-15" / "all.ndjson", *records)
    summary = run(lakehouse)
    assert outcomes(lakehouse) == OUTCOMES
    assert summary["quarantine"] == {}
    assert sum(summary["attachments"].values()) == sum(map(len, outcomes(lakehouse).values()))
    names = sorted(f"{hashlib.sha256(one).hexdigest()}.pdf" for one in (letter, pdf("Another letter.")))
    assert extracted(lakehouse) == names
    assert {row[1] for row in pages(lakehouse)} == {"A letter.", "Another letter."}


def test_a_document_belongs_to_its_patient_in_every_system(lakehouse: Profile, tmp_path: Path) -> None:
    """Content sent by two hospitals is read once, for each one's own patient; Binaries count, bundled or bare."""
    raw = tmp_path / "raw" / "fhir" / "dt=2026-01-15"
    shared, bundled, bare, both = pdf("Shared."), pdf("In a Bundle."), pdf("In a Binary."), pdf("Of two patients.")
    write_lines(
        raw / "source=north" / "a.ndjson",
        reference("n1", "a", inline(shared)),
        reference("n2", "a", {"url": "http://server/fhir/Binary/b1/_history/2"}),
        reference("n3", "a", inline(both)),
        reference("n4", "b", inline(both)),
        {"resourceType": "Binary", "id": "b1", "contentType": "application/pdf", "data": inline(bare)["data"]},
        {
            "resourceType": "DiagnosticReport",
            "id": "d1",
            "subject": {"reference": "Patient/a"},
            "encounter": {"reference": "Encounter/e-a"},
            "presentedForm": [inline(shared)],
        },
    )
    urn = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"
    binary = {"resourceType": "Binary", "id": "b9", "contentType": "application/pdf", "data": inline(bundled)["data"]}
    entries = [{"fullUrl": urn, "resource": binary}, {"resource": reference("s2", "z", {"url": urn})}]
    write_lines(
        raw / "source=south" / "b.ndjson",
        reference("s1", "z", inline(shared)),
        {"resourceType": "Bundle", "type": "collection", "entry": entries},
    )
    for folder in (raw / "source=north", raw / "source=south"):
        folder.chmod(0o555)  # raw may be read-only
    run(lakehouse)
    assert pages(lakehouse) == {
        ("north", "Shared.", "a", "e-a", "n1", "d1"),
        ("south", "Shared.", "z", "e-z", "s1", None),
        ("north", "In a Binary.", "a", "e-a", "n2", None),
        ("south", "In a Bundle.", "z", "e-z", "s2", None),
        ("north", "Of two patients.", None, None, None, None, "AMBIGUOUS_LINK"),
    }
    assert len(extracted(lakehouse)) == 4


def test_what_was_extracted_stays_as_it_is(lakehouse: Profile, tmp_path: Path) -> None:
    """A second run does nothing; the same content in a new record writes no second file; a deletion takes text away."""
    raw, letter = tmp_path / "raw" / "fhir", pdf("A letter.")
    write_lines(raw / "dt=2026-01-15" / "a.ndjson", reference("one", "a", inline(letter)))
    first = run(lakehouse)
    assert first["files"] == {"found": 2, "loaded": 2, "skipped": 0, "quarantined": 0}
    assert first["attachments"] == {"extracted": 1}
    there = snapshots(lakehouse)
    (written,) = Path(lakehouse.textract_uri, attachments.FOLDER).glob("*.pdf")
    stamp = written.stat().st_mtime_ns
    second = run(lakehouse)
    assert not second["changed"]
    assert snapshots(lakehouse) == there
    write_lines(raw / "dt=2026-01-16" / "b.ndjson", reference("two", "a", inline(letter)))
    run(lakehouse)
    assert written.stat().st_mtime_ns == stamp
    assert pages(lakehouse) == {("default", "A letter.", "a", "e-a", "two", None)}
    newer = {"meta": {"lastUpdated": "2026-01-17T00:00:00Z"}}
    write_lines(raw / "dt=2026-01-17" / "c.ndjson", *(reference(name, "b", **newer) for name in ("one", "two")))
    run(lakehouse)
    assert pages(lakehouse) == set()


def test_a_killed_load_is_caught_up_on(lakehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between bronze and extraction, the next run extracts, though no file is new; a late Binary heals."""
    raw = tmp_path / "raw" / "fhir"
    write_lines(
        raw / "dt=2026-01-15" / "a.ndjson",
        reference("one", "a", inline(pdf("A letter."))),
        reference("late", "a", {"url": "Binary/b1"}),
    )
    with monkeypatch.context() as patched:
        patched.setattr(attachments, "extract", _killed)
        with pytest.raises(KeyboardInterrupt):
            run(lakehouse)
    assert attachments.is_due(load_pyiceberg(lakehouse))
    assert run(lakehouse)["attachments"] == {"extracted": 1, "waiting": 1}
    content = {"contentType": "application/pdf", "data": inline(pdf("Late."))["data"]}
    write_lines(raw / "dt=2026-01-16" / "b.ndjson", {"resourceType": "Binary", "id": "b1", **content})
    assert run(lakehouse)["attachments"] == {"extracted": 1}
    assert {row[1] for row in pages(lakehouse)} == {"A letter.", "Late."}
    assert outcomes(lakehouse)["late"] == [("extracted", None)]


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_document_beside_the_records_is_linked_by_its_url(lakehouse: Profile, tmp_path: Path) -> None:
    """A URL counts from the record's folder, from those above it, and as a whole; not from another day's folder."""
    raw = tmp_path / "raw"
    for name in ("docs/dt=2026-01-15/x.pdf", "fhir/dt=2026-01-15/y.pdf", "fhir/dt=2026-01-16/y.pdf", "z.pdf"):
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pdf(name))
    write_lines(
        raw / "fhir" / "dt=2026-01-15" / "a.ndjson",
        reference("from-root", "a", {"url": "docs/dt=2026-01-15/x.pdf"}),
        reference("beside", "b", {"url": "./y.pdf"}),
        reference("whole", "c", {"url": f"file://{raw}/z.pdf"}),
    )
    run(lakehouse)
    assert {row[1:3] for row in pages(lakehouse)} == {
        ("docs/dt=2026-01-15/x.pdf", "a"),
        ("fhir/dt=2026-01-15/y.pdf", "b"),
        ("fhir/dt=2026-01-16/y.pdf", None),
        ("z.pdf", "c"),
    }
    # A newer version of the record is about another patient: the document moves with it.
    newer = reference("beside", "d", {"url": "y.pdf"}, meta={"lastUpdated": "2026-02-01T00:00:00Z"})
    write_lines(raw / "fhir" / "dt=2026-01-15" / "b.ndjson", newer)
    run(lakehouse)
    assert ("fhir/dt=2026-01-15/y.pdf", "d") in {row[1:3] for row in pages(lakehouse)}


def test_results_below_the_drop_are_no_part_of_it(lakehouse: Profile, tmp_path: Path) -> None:
    """With the OCR root below the drop, what was extracted is found once, and pages are not taken for records."""
    inside = replace(lakehouse, textract=str(tmp_path / "raw" / "textract"))
    write_lines(tmp_path / "raw" / "a.ndjson", reference("one", "a", inline(pdf("A letter."))))
    assert run(inside)["files"] == {"found": 2, "loaded": 2, "skipped": 0, "quarantined": 0}
    assert run(inside)["files"] == {"found": 2, "loaded": 0, "skipped": 2, "quarantined": 0}


def test_a_large_attachment_is_extracted_whole(lakehouse: Profile, tmp_path: Path) -> None:
    """Sixty megabytes of base64 on one line come out as the bytes they were."""
    large = pdf("Large.") + b"\n%" + b"0" * 45_000_000
    write_lines(tmp_path / "raw" / "a.ndjson", reference("one", "a", inline(large, hash=sha1(large))))
    summary = run_pipeline(Request(lakehouse, through="bronze"))
    assert summary["attachments"] == {"extracted": 1}
    (written,) = Path(lakehouse.textract_uri, attachments.FOLDER).glob("*.pdf")
    assert written.read_bytes() == large
    assert outcomes(lakehouse) == {"one": [("extracted", None)]}
