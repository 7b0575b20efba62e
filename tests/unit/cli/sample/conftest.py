"""One sample for the whole session, and a reader of it that shares no code with the package."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.sample import SampleReport, write_sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST, SECOND = "2026-01-15", "2026-01-16"


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def content_of(path: Path) -> bytes:
    """Return the bytes of a file, unzipped."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def resource_or_none(line: bytes) -> dict[str, Any] | None:
    """Return the resource on a line; None where no strict reader would find one. Decimals stay text."""
    try:
        found = json.loads(line.decode(), parse_float=str, parse_constant=_no_constant)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "resourceType" in found else None


@dataclass(frozen=True)
class Drop:
    """A sample that was written."""

    root: Path
    report: SampleReport
    seconds: float

    def fhir_files(self, day: str | None = None) -> list[Path]:
        """Return the FHIR files of a day, or of all."""
        return sorted(path for path in (self.root / "fhir").glob(f"dt={day or '*'}/*") if path.is_file())

    def lines(self, day: str | None = None) -> Iterator[bytes]:
        """Yield the lines of the files of one record a line, blank ones left out."""
        for path in self.fhir_files(day):
            if path.suffix != ".json":
                for line in content_of(path).removeprefix(b"\xef\xbb\xbf").splitlines():
                    if line:
                        yield line

    def resources(self, day: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield every well-formed resource, whatever shape of file it is in."""
        yield from filter(None, map(resource_or_none, self.lines(day)))
        for path in self.fhir_files(day):
            if path.suffix == ".json":
                held = json.loads(path.read_text(encoding="utf-8"), parse_float=str)
                if isinstance(held, list):
                    yield from held
                elif held["resourceType"] == "Bundle":
                    yield from (entry["resource"] for entry in held["entry"])
                else:
                    yield held

    def by_id(self, resource_type: str, day: str) -> dict[str, dict[str, Any]]:
        """Return a day's resources of one type by id; those without one are left out."""
        return {one["id"]: one for one in self.resources(day) if one["resourceType"] == resource_type and "id" in one}


def _write(root: Path, **arguments: Any) -> Drop:
    started = time.monotonic()
    report = write_sample(root, **arguments)
    return Drop(root, report, time.monotonic() - started)


@pytest.fixture(scope="session")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Drop:
    """Return the default sample."""
    root = tmp_path_factory.mktemp("sample") / "raw"
    return _write(root)


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Return a function that writes a sample with other arguments."""
    made: list[Path] = []

    def write(**arguments: Any) -> Drop:
        root = tmp_path / f"raw{len(made)}"
        made.append(root)
        return _write(root, **arguments)

    return write
