"""What a ledger that is made anew says of files whose load may not have ended; real tables, no engine."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.parsing import SourceFile
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze.counts import record
from airflow_lakehouse.spark.bronze.discovery import Found
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.bronze.ledger_rebuild import REBUILT, rebuild
from airflow_lakehouse.spark.bronze.ledger_rows import DISCOVERED, LOADED, Entry
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.files import file_uri
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import bronze, ops
from tests.unit.spark.tiny_rows import add_rows

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.catalog import Catalog

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = "b1"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A lakehouse with every table, all empty."""
    made = Profile(os.fspath(tmp_path / "warehouse"))
    create_local_catalog(made)
    ensure_tables(load_pyiceberg(made))
    return made


@pytest.fixture
def catalog(profile: Profile) -> Catalog:
    """Its catalog."""
    return load_pyiceberg(profile)


@pytest.fixture
def file(tmp_path: Path) -> SourceFile:
    """A file that is there."""
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"{}\n")
    return SourceFile(file_uri(path), sha256(b"{}\n").hexdigest(), 3, "2026-01-01")


def _write_bronze(catalog: Catalog, file: SourceFile, run: str = "r1") -> None:
    """Leave two rows and one reject of a file in bronze, as a load does."""
    stamps = {"lakehouse.run-id": run, "lakehouse.batch-id": BATCH, "lakehouse.batches": BATCH} if run else {}
    of_file = {"source_uri": file.uri, "source_etag": file.etag, "batch_id": BATCH, "ingested_at": WHEN, "dt": WHEN}
    for table in (bronze.PATIENT, bronze.PATIENT, bronze.QUARANTINE):
        add_rows(catalog, table, stamps, **of_file, parser="fhir", source_system="default")


def _count(catalog: Catalog, rows: int, run: str = "r1") -> None:
    record(catalog, [("bronze", "x", "read", rows), ("bronze", "x", "loaded", rows)], run)


def _entry(file: SourceFile, state: str, records: int | None = 3) -> Entry:
    return Entry(Found(file, "fhir", "1"), state, BATCH, WHEN, records, None if records is None else 1)


def _only(catalog: Catalog) -> dict[str, Any]:
    (row,) = Ledger(catalog).rows()
    return row


def test_a_load_that_was_counted_is_loaded(profile: Profile, catalog: Catalog, file: SourceFile) -> None:
    """All that bronze, the snapshots and the file can tell is told, also where the table itself is gone."""
    _write_bronze(catalog, file)
    _count(catalog, 3)
    catalog.drop_table(ops.INGESTED_FILES.identifier)
    assert rebuild(profile) == {"files": 1, LOADED: 1}
    row = _only(catalog)
    assert (row["source_uri"], row["size"], row["parser"], row["run_id"]) == (file.uri, 3, "fhir", "r1")
    assert (row["records"], row["quarantined"], row["batch_id"], row["ingested_at"]) == (3, 1, BATCH, WHEN)
    before = catalog.load_table(ops.INGESTED_FILES.identifier).metadata_location
    rebuild(profile)
    assert catalog.load_table(ops.INGESTED_FILES.identifier).metadata_location == before


@pytest.mark.parametrize("counted", [None, 2])
def test_a_load_that_was_not_counted_so_waits(
    profile: Profile, catalog: Catalog, file: SourceFile, counted: int | None
) -> None:
    """Killed half way, it would be half a file for ever: it is read again, under its batch and time."""
    _write_bronze(catalog, file)
    if counted:
        _count(catalog, counted)
    assert rebuild(profile) == {"files": 1, DISCOVERED: 1}
    row = _only(catalog)
    assert (row["records"], row["batch_id"], row["ingested_at"]) == (None, BATCH, WHEN)


def test_what_is_gone_is_loaded_as_far_as_it_ever_can_be(profile: Profile, catalog: Catalog, tmp_path: Path) -> None:
    """It can never be read again; if all versions of a file waited for ever, the old would be as live as the new."""
    _write_bronze(catalog, SourceFile(file_uri(tmp_path / "gone"), "e", 1), run="")
    assert rebuild(profile) == {"files": 1, LOADED: 1}
    assert (_only(catalog)["size"], _only(catalog)["run_id"]) == (None, REBUILT)


def test_what_the_ledger_knows_better_stays(profile: Profile, catalog: Catalog, file: SourceFile) -> None:
    """A file that holds nothing stays loaded, one whose load never ended keeps waiting, whatever the counts say."""
    empty = SourceFile("file:///drop/empty", "e", 2)
    Ledger(catalog).write([_entry(file, DISCOVERED, None), _entry(empty, LOADED, 0)], "r1")
    _write_bronze(catalog, file)
    _count(catalog, 3)
    before = Ledger(catalog).rows()
    rebuild(profile)
    assert {row["source_uri"]: row["state"] for row in Ledger(catalog).rows()} == {
        row["source_uri"]: row["state"] for row in before
    }


def test_what_was_taken_from_bronze_by_hand_waits(profile: Profile, catalog: Catalog, file: SourceFile) -> None:
    """Where rows are missing, or all are, the file is loaded again."""
    away = SourceFile("file:///drop/away", "e", 2)
    Ledger(catalog).write([_entry(file, LOADED), _entry(away, LOADED)], "r1")
    _write_bronze(catalog, file)
    rebuild(profile)
    assert {row["source_uri"]: row["state"] for row in Ledger(catalog).rows()} == {
        file.uri: LOADED,
        away.uri: DISCOVERED,
    }
    catalog.load_table(bronze.QUARANTINE.identifier).delete()
    assert rebuild(profile) == {"files": 2, DISCOVERED: 2}


def test_a_version_that_never_ended_gives_way_to_a_newer_one(catalog: Catalog) -> None:
    """Half of an old version in bronze is not live beside the whole of the new one; half of a newer one is."""
    old, new = SourceFile("file:///f", "1", 1), SourceFile("file:///f", "2", 1)
    later = datetime(2026, 1, 2, tzinfo=UTC)
    ledger = Ledger(catalog)
    ledger.write([_entry(old, DISCOVERED), Entry(Found(new, "fhir", "1"), LOADED, "b2", later, 1, 0)], "r")
    assert Ledger(catalog).dead_versions() == [(old.uri, "1")]
    ledger = Ledger(catalog)
    ledger.write([_entry(old, LOADED), Entry(Found(new, "fhir", "1"), DISCOVERED, "b2", later)], "r")
    assert Ledger(catalog).dead_versions() == []
