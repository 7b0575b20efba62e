"""Listing a drop, without Spark."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from airflow_lakehouse.exceptions import InputError
from airflow_lakehouse.parsing import load_registry
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze.discovery import Found, discover
from airflow_lakehouse.spark.bronze.ledger import batch_id
from airflow_lakehouse.spark.bronze.scope import Scope


def _discover(raw: Path, scope: Scope | None = None) -> list[Found]:
    return discover(Profile(str(raw.parent / "warehouse"), raw=str(raw)), load_registry(), scope)


def _file(path: Path, content: bytes = b'{"resourceType":"Patient"}') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_path_gives_day_and_source(tmp_path: Path) -> None:
    """dt= and source= are taken from the path; a day that is none is no day, and the file is still found."""
    raw = tmp_path / "raw"
    _file(raw / "fhir/source=north/dt=2026-01-02/a.ndjson")
    _file(raw / "fhir/dt=2026-13-45/b.ndjson")
    _file(raw / "c.ndjson")
    found = {Path(one.file.uri).name: (one.file.dt, one.file.source_system) for one in _discover(raw)}
    assert found == {"a.ndjson": ("2026-01-02", "north"), "b.ndjson": (None, "default"), "c.ndjson": (None, "default")}


def test_the_content_gives_the_parser(tmp_path: Path) -> None:
    """FHIR and PDFs are known by what they are, gzipped or not, whatever they are called."""
    raw = tmp_path / "raw"
    _file(raw / "a", gzip.compress(b'\xef\xbb\xbf  {"resourceType":"Patient"}'))
    _file(raw / "b", b"junk\n%PDF-1.7\n")
    _file(raw / "c", b"\x00\x01")
    _file(raw / "d.ndjson", b"broken")
    assert [one.parser for one in _discover(raw)] == ["fhir", "documents", "unknown", "fhir"]


def test_markers_and_hidden_files_are_no_input(tmp_path: Path) -> None:
    """_SUCCESS, checksums and hidden folders are passed over."""
    raw = tmp_path / "raw"
    for name in ("_SUCCESS", ".a.crc", ".hidden/a.ndjson", "_temporary/a.ndjson", "a.ndjson"):
        _file(raw / name)
    assert [Path(one.file.uri).name for one in _discover(raw)] == ["a.ndjson"]


def test_one_day_of_a_drop(tmp_path: Path) -> None:
    """--dt takes that day's partition, and is the day of files that have none."""
    raw = tmp_path / "raw"
    for name in ("dt=2026-01-01/a.json", "dt=2026-01-02/b.json", "c.json"):
        _file(raw / name)
    found = {Path(one.file.uri).name: one.file.dt for one in _discover(raw, Scope(dt="2026-01-02"))}
    assert found == {"b.json": "2026-01-02", "c.json": "2026-01-02"}


@pytest.mark.parametrize(
    ("dt", "expected"),
    [
        ("2026-01-02..2026-01-03", {"b.json": "2026-01-02", "c.json": "2026-01-03", "e.json": None}),
        ("2026-01-03..", {"c.json": "2026-01-03", "d.json": "2026-02-01", "e.json": None}),
        ("..2026-01-01", {"a.json": "2026-01-01", "e.json": None}),
        ("2026-01-02..2026-01-02", {"b.json": "2026-01-02", "e.json": "2026-01-02"}),
    ],
)
def test_a_range_of_days_of_a_drop(tmp_path: Path, dt: str, expected: dict[str, str | None]) -> None:
    """Partitions of these days, ends included; files that have none come along, and get no day of a range."""
    raw = tmp_path / "raw"
    for day, name in (("2026-01-01", "a"), ("2026-01-02", "b"), ("2026-01-03", "c"), ("2026-02-01", "d")):
        _file(raw / f"dt={day}" / f"{name}.json")
    _file(raw / "e.json")
    _file(raw / "dt=2026-W01-1" / "no_day.json")
    assert {Path(one.file.uri).name: one.file.dt for one in _discover(raw, Scope(dt=dt))} == expected


def test_days_without_a_file_are_said(tmp_path: Path) -> None:
    """The message names the days that were asked for and those there are."""
    raw = tmp_path / "raw"
    for day in ("2026-01-01", "2026-01-03"):
        _file(raw / f"fhir/dt={day}/a.json")
    with pytest.raises(InputError, match=r"no file for dt='2026-02-01\.\.'.*2 days from 2026-01-01 to 2026-01-03"):
        _discover(raw, Scope(dt="2026-02-01.."))


@pytest.mark.parametrize("make", [lambda _: None, lambda raw: raw.mkdir()])
def test_nothing_to_read_is_an_error(tmp_path: Path, make: object) -> None:
    """A drop that does not exist, and one without a file, are named."""
    assert callable(make)
    make(tmp_path / "raw")
    with pytest.raises(InputError, match="raw"):
        _discover(tmp_path / "raw")


def test_the_batch_follows_from_the_files(tmp_path: Path) -> None:
    """The same files give the same batch id in any order; a changed file gives another."""
    raw = tmp_path / "raw"
    _file(raw / "a.json")
    _file(raw / "b.json", b"{}")
    found = _discover(raw)
    assert batch_id(found, "job") == batch_id(found[::-1], "job")
    _file(raw / "b.json", b"{ }")
    assert batch_id(found, "job") != batch_id(_discover(raw), "job")
