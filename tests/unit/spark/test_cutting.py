"""What the workers make of what a parser yields; no Spark."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_lakehouse.parsing import Record, Rejected, SourceFile, load_registry
from airflow_lakehouse.spark.bronze import cutting
from airflow_lakehouse.spark.storage.files import file_uri

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_record_too_large_is_rejected_and_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole or broken, on a line or in a Bundle, it is a reject with its place and first bytes; others are whole."""
    monkeypatch.setattr(cutting, "_LARGEST_BYTES", 100)
    monkeypatch.setattr(cutting, "_KEPT_BYTES", 10)
    small = {"resourceType": "Patient", "id": "p"}
    large = {"resourceType": "Patient", "id": "q", "language": "x" * 100}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": small}, {"resource": large}, {"resource": small}]}
    lines = [json.dumps(one) for one in (small, large, bundle)]
    path = tmp_path / "1.ndjson"
    path.write_text("\n".join([*lines, lines[1][:-1], lines[0]]))
    pieces = list(cutting._pieces(load_registry(()).get("fhir"), SourceFile(file_uri(path), "", 0)))
    told = [(piece.position, getattr(piece, "entry", 0), getattr(piece, "reason", "")) for piece in pieces]
    assert told == [
        (1, 0, ""),
        (2, 0, "RECORD_TOO_LARGE"),
        (3, 1, ""),
        (3, 2, "RECORD_TOO_LARGE"),
        (3, 3, ""),
        (4, 0, "RECORD_TOO_LARGE"),
        (5, 0, ""),
    ]
    rejects = [piece for piece in pieces if isinstance(piece, Rejected)]
    assert [len(one.raw or b"") for one in rejects] == [10] * 3
    assert all(isinstance(piece, Record) for piece in pieces if piece not in rejects)
    assert all("x" not in one.detail.partition(" bytes")[0] for one in rejects)
