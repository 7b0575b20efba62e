"""The document operator over a real drop and the real reader, with text layers alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from reportlab.pdfgen.canvas import Canvas

from airflow_lakehouse._compat import AirflowFailException
from airflow_lakehouse.operators.documents import ReadDocumentsOperator

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a drop with two letters on two days, a file that only claims to be one, and a record."""
    raw = tmp_path / "raw"
    for day, text in (("2026-01-15", "The wound has healed well."), ("2026-01-16", "Please see again in May.")):
        folder = raw / "docs" / f"dt={day}"
        folder.mkdir(parents=True)
        letter = Canvas(str(folder / "letter.pdf"), invariant=1)
        letter.drawString(72, 720, text)
        letter.save()
    (raw / "docs" / "dt=2026-01-16" / "broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    (raw / "fhir" / "dt=2026-01-15").mkdir(parents=True)
    (raw / "fhir" / "dt=2026-01-15" / "p.ndjson").write_text('{"resourceType": "Patient", "id": "a"}\n')
    extra = {"warehouse": str(tmp_path / "wh"), "raw": str(raw), "ocr": "none"}
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE", json.dumps({"conn_type": "lakehouse", "extra": extra}))
    return raw


def _read(**arguments: Any) -> dict[str, Any]:
    return ReadDocumentsOperator(task_id="read", **arguments).execute({})


def test_documents_are_read_once(raw: Path) -> None:
    """Documents alone are read, a broken one is counted and fails nothing, and a second time all are reused."""
    first = _read()
    assert (first["documents"], first["read"], first["pages_ok"]) == (3, 3, 2)
    assert sum(first["rejected"].values()) == 1
    again = _read(raw=str(raw))
    assert (again["documents"], again["read"], again["reused"]) == (3, 0, 3)


def test_only_counts_come_back(raw: Path) -> None:
    """Neither the text of a document nor its name reaches XCom."""
    result = json.dumps(_read())
    assert "wound" not in result
    assert "letter.pdf" not in result
    assert raw.name not in result


def test_one_day_is_read_alone(raw: Path) -> None:
    """A day leaves the other days' documents for later; a day that renders to nothing is no day."""
    assert raw
    assert _read(dt="2026-01-15")["documents"] == 1
    assert _read(dt="None")["documents"] == 3
    assert _read(dt="2026-01-15..2026-01-16")["documents"] == 3
    with pytest.raises(AirflowFailException, match=r"no file for dt='\.\.2026-01-14'"):
        _read(dt="..2026-01-14")


def test_a_drop_without_documents_needs_no_engine(raw: Path) -> None:
    """Where there is nothing to read, nothing is started."""
    assert _read(raw=str(raw / "fhir"))["documents"] == 0


def test_an_absent_drop_fails_at_once(raw: Path) -> None:
    """A drop that is not there is said to be, and is not retried."""
    with pytest.raises(AirflowFailException, match="does not exist"):
        _read(raw=str(raw / "nowhere"))
