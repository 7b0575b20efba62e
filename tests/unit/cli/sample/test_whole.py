"""The sample as a whole: the same bytes for the same arguments, and a report that tells the truth."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import os
import resource
import subprocess
import sys
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.sample import write_sample
from airflow_lakehouse.exceptions import InputError, SetupError
from tests.unit.cli.sample.conftest import resource_or_none

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.sample.conftest import Drop


def _digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


_PROGRAM = "import sys; from pathlib import Path; from airflow_lakehouse.cli.sample import write_sample; \
write_sample(Path(sys.argv[1]))"


def test_the_same_arguments_write_the_same_bytes(drop: Drop, tmp_path: Path) -> None:
    """Another process with another hash seed and time zone writes every file, PDFs and gzip included, alike."""
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", _PROGRAM, tmp_path / "raw"], check=True, env=environment)
    assert _digests(tmp_path / "raw") == _digests(drop.root)


def test_another_seed_writes_another_world(drop: Drop, written: Any) -> None:
    """The seed reaches every file but the references to documents, which know only whom and where."""
    other = written(seed=8, documents=2)
    ours, theirs = _digests(drop.root), _digests(other.root)
    same = {name for name in ours.keys() & theirs.keys() if ours[name] == theirs[name]}
    assert all(name.endswith("DocumentReference.json") for name in same)
    assert {"fhir/dt=2026-01-15/mixed.jsonl", "docs/dt=2026-01-15/letter-0115-000.pdf"} <= ours.keys() & theirs.keys()


def test_the_report_counts_what_is_there(drop: Drop) -> None:
    """Files, records and rejects, counted again by a reader of our own, are what the report says."""
    report = drop.report
    assert report.files == sum(path.is_file() for path in drop.root.rglob("*"))
    assert Counter(one["resourceType"] for one in drop.resources()) == report.records
    rejected = sum(resource_or_none(line) is None for line in drop.lines())
    assert rejected == sum(report.broken.values())
    assert report.flagged == {"MISSING_ID": sum("id" not in one for one in drop.resources())}


def test_a_larger_sample_streams(written: Any) -> None:
    """220 patients over three days: the report's counts still hold, from files that were never whole in memory."""
    large = written(patients=220, documents=0, days=3)
    assert Counter(one["resourceType"] for one in large.resources()) == large.report.records
    assert len(list((large.root / "fhir").iterdir())) == 3
    own_files = [path for path in large.fhir_files() if path.suffix == ".json"]
    assert len(own_files) < 200, "patients beyond the first 200 have no files of their own"


_MEASURE = "import sys, resource; from pathlib import Path; from airflow_lakehouse.cli.sample import write_sample; \
write_sample(Path(sys.argv[1]), patients=int(sys.argv[2]), documents=0, days=1); \
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def test_memory_does_not_grow_with_the_patients(tmp_path: Path) -> None:
    """Six times the patients take no more than 4 MiB more; held in memory they would take some 40."""
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", _MEASURE, tmp_path / str(patients), str(patients)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for patients in (200, 1200)
    ]
    unit = 1 if sys.platform == "darwin" else 1024
    assert (peaks[1] - peaks[0]) * unit < 4 * 2**20


def test_twenty_thousand_records_a_second(written: Any) -> None:
    """The promised speed, in processor time: what else the machine does must not decide a test."""
    rates: list[float] = []
    # The best of three: a second thread on the same core slows this one without taking its time.
    while not rates or (max(rates) <= 20_000 and len(rates) < 3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        report = written(patients=600, documents=0).report
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
        rates.append(sum(report.records.values()) / taken)
    assert max(rates) > 20_000


def test_the_default_sample_is_small_and_quick(drop: Drop) -> None:
    """50 patients, some 2,000 records, 6 documents over 2 days, in under 10 s."""
    assert drop.seconds < 10
    assert 1_500 < sum(drop.report.records.values()) < 2_500
    assert (drop.report.documents, drop.report.pages) == (6, 8)


def test_the_report_is_frozen(drop: Drop) -> None:
    """Nobody changes a report, neither its fields nor what they hold."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        drop.report.files = 0  # type: ignore[misc]
    with pytest.raises(TypeError):
        drop.report.records["Patient"] = 0  # type: ignore[index]


def test_days_follow_the_start(written: Any) -> None:
    """The layout's days are the start and the days after it, across a month's end."""
    made = written(patients=3, documents=2, start=date(2026, 2, 28))
    assert sorted(path.name for path in (made.root / "fhir").iterdir()) == ["dt=2026-02-28", "dt=2026-03-01"]
    assert sorted(path.name for path in (made.root / "docs").iterdir()) == ["dt=2026-02-28", "dt=2026-03-01"]


def test_one_day_holds_every_patient(written: Any) -> None:
    """Without a second day nobody comes later: as many patients as were asked for."""
    made = written(patients=20, documents=0, days=1, broken_ratio=0)
    assert made.report.records["Patient"] == 20


@pytest.mark.parametrize(
    "arguments", [{"patients": 0}, {"days": 0}, {"documents": -1}, {"broken_ratio": 1.0}, {"broken_ratio": -0.1}]
)
def test_numbers_that_make_no_sample(tmp_path: Path, arguments: dict[str, Any]) -> None:
    """They are refused before anything is written."""
    with pytest.raises(InputError, match="make no sample"):
        write_sample(tmp_path / "raw", **arguments)
    assert not (tmp_path / "raw").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder with anything in it, or a file, is left alone."""
    (tmp_path / "mine.txt").write_text("mine")
    for target in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InputError, match="not an empty folder"):
            write_sample(target)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """It is an error with the folder's name, not a stack trace."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="raw cannot be written: Not a directory"):
        write_sample(tmp_path / "file" / "raw")


def test_missing_libraries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without reportlab there is one clear line and no half drop; FHIR alone needs none of it."""
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "reportlab" else found(name))
    with pytest.raises(SetupError, match="need reportlab"):
        write_sample(tmp_path / "raw")
    assert not (tmp_path / "raw").exists()
    write_sample(tmp_path / "raw", patients=2, documents=0)
