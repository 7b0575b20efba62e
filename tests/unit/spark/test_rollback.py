"""What a rollback moves, refuses and survives; real tables and watermarks, no engine."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.exceptions import ConfigurationError, DownstreamAheadError, JobError, SnapshotNotFoundError
from airflow_lakehouse.parsing import SourceFile
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark import rollback
from airflow_lakehouse.spark.bronze.discovery import Found
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.bronze.ledger_rows import DISCOVERED, LOADED, Entry
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.iceberg.as_of import resolve
from airflow_lakehouse.spark.iceberg.run_tags import tag_run
from airflow_lakehouse.spark.rollback import roll_back
from airflow_lakehouse.spark.silver import delta
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import Table, bronze, by_name, ops, silver
from tests.unit.spark.tiny_rows import add_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyiceberg.catalog import Catalog

GOLD = "gold.gold_docs_quality"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A lakehouse with every table and one of gold, all empty."""
    made = Profile(os.fspath(tmp_path / "warehouse"))
    create_local_catalog(made)
    catalog = load_pyiceberg(made)
    ensure_tables(catalog)
    catalog.create_table(GOLD, schema=catalog.load_table(ops.UNKNOWN_FIELDS.identifier).schema())
    return made


@pytest.fixture
def catalog(profile: Profile) -> Catalog:
    """Its catalog."""
    return load_pyiceberg(profile)


def _load(catalog: Catalog, name: str, *tables: Table) -> None:
    """Write a row to bronze tables as the load of one file, and note the file."""
    file = SourceFile(f"file:///drop/{name}", name, 1)
    entry = Entry(Found(file, "fhir", "1"), DISCOVERED, f"batch-{name}", datetime.now(UTC))
    Ledger(catalog).write([entry], name)
    for table in tables:
        add_rows(catalog, table, source_uri=file.uri, source_etag=file.etag)
    Ledger(catalog).write([entry.loaded(len(tables), 0)], name)


def _conform(catalog: Catalog, table: Table, privacy: str = "") -> None:
    """Write a row to a silver table, with the watermark of what bronze holds."""
    seen = delta.present(catalog, [by_name(name) for name in table.reads], [], privacy)
    add_rows(catalog, table, {f"lakehouse.{name}": value for name, value in seen.properties().items()})


def _rows(catalog: Catalog, name: str, as_of: str | None = None) -> int:
    table = catalog.load_table(name)
    snapshot = resolve(catalog, as_of).snapshot(table)
    return table.scan(snapshot_id=snapshot.snapshot_id).count() if snapshot else 0


def _states(catalog: Catalog) -> dict[str, Any]:
    return {row["source_etag"]: (row["state"], row["records"]) for row in Ledger(catalog).rows()}


@pytest.fixture
def two_runs(catalog: Catalog) -> None:
    """Run one loaded a patient, run two a patient and a condition; silver and gold followed both."""
    _load(catalog, "one", bronze.PATIENT)
    _conform(catalog, silver.PATIENT)
    tag_run(catalog, "one")
    _load(catalog, "two", bronze.PATIENT, bronze.CONDITION)
    _conform(catalog, silver.PATIENT)
    _conform(catalog, silver.CONDITION)
    add_rows(catalog, GOLD)
    tag_run(catalog, "two")


def _counts(catalog: Catalog) -> list[int]:
    tables = (bronze.PATIENT, bronze.CONDITION, silver.PATIENT, silver.CONDITION)
    return [*(_rows(catalog, table.identifier) for table in tables), _rows(catalog, GOLD)]


@pytest.mark.usefixtures("two_runs")
def test_all_tables_go_back_together(profile: Profile, catalog: Catalog) -> None:
    """And forward again. The ledger follows; a table that had no rows has none, and a time tells when that was."""
    assert _counts(catalog) == [2, 1, 2, 1, 1]
    was, first = (catalog.load_table(bronze.PATIENT.identifier).snapshots()[n].snapshot_id for n in (1, 0))
    told = roll_back(profile, "one")
    assert told["files"] == 1
    assert told["tables"][bronze.PATIENT.identifier] == {"snapshot_id": first, "was": was}
    assert _counts(catalog) == [1, 0, 1, 0, 0]
    assert _states(catalog) == {"one": (LOADED, 1), "two": (DISCOVERED, None)}
    time.sleep(0.002)
    emptied = datetime.now(UTC).isoformat()
    time.sleep(0.002)
    assert roll_back(profile, "one") == {"run_id": "one", "tables": {}, "files": 1}
    assert roll_back(profile, "two")["files"] == 0
    assert _counts(catalog) == [2, 1, 2, 1, 1]
    assert _states(catalog) == {"one": (LOADED, 1), "two": (LOADED, 2)}
    assert _rows(catalog, bronze.CONDITION.identifier, emptied) == 0


@pytest.mark.usefixtures("two_runs")
def test_no_table_is_left_ahead_unless_it_goes_along(profile: Profile, catalog: Catalog) -> None:
    """Bronze goes back as one and takes silver and gold along; silver takes gold; gold goes alone."""
    with pytest.raises(DownstreamAheadError) as refused:
        roll_back(profile, "one", ["bronze_fhir_condition"])
    assert "bronze.bronze_fhir_patient, gold.gold_docs_quality, silver.silver_dim_patient" in str(refused.value)
    with pytest.raises(DownstreamAheadError, match=GOLD):
        roll_back(profile, "one", ["silver.silver_dim_patient"])
    assert _counts(catalog) == [2, 1, 2, 1, 1]
    roll_back(profile, "one", [GOLD])
    assert _counts(catalog) == [2, 1, 2, 1, 0]
    roll_back(profile, "one", ["silver_dim_patient"])
    assert _counts(catalog) == [2, 1, 1, 1, 0]
    with pytest.raises(DownstreamAheadError, match=silver.CONDITION.identifier):
        roll_back(profile, "one", ["bronze_fhir_condition"])
    roll_back(profile, "one", ["bronze_fhir_condition"], rebuild=True)
    assert _counts(catalog) == [1, 0, 1, 0, 0]
    assert _states(catalog)["two"] == (DISCOVERED, None)


@pytest.mark.usefixtures("two_runs")
def test_a_table_changed_by_hand_goes_back_alone(profile: Profile, catalog: Catalog) -> None:
    """Where nothing was made from the change, nothing is ahead: neither silver nor the ledger is touched."""
    ledger = Ledger(catalog).rows()
    catalog.load_table(bronze.PATIENT.identifier).delete("source_etag = 'one'")
    assert _counts(catalog)[0] == 1
    roll_back(profile, "two", ["bronze_fhir_patient"])
    assert _counts(catalog) == [2, 1, 2, 1, 1]
    assert Ledger(catalog).rows() == ledger


@pytest.mark.usefixtures("two_runs")
def test_what_cannot_be_asked_for_is_said(profile: Profile) -> None:
    """An unknown run, and tables that do not go back by themselves."""
    with pytest.raises(SnapshotNotFoundError, match=r"'zero'.*two, one"):
        roll_back(profile, "zero")
    with pytest.raises(ConfigurationError, match=r"ops\.reconciliation.*goes along with bronze"):
        roll_back(profile, "one", ["reconciliation"])


@pytest.mark.usefixtures("two_runs")
@pytest.mark.parametrize("tables", [[], ["silver_dim_patient", GOLD], [GOLD]])
def test_what_was_de_identified_stays_so(profile: Profile, catalog: Catalog, tables: list[str]) -> None:
    """No reader of silver or gold is shown again by a rollback whom de-identification has taken away."""
    _conform(catalog, silver.PATIENT, privacy="year-1234")
    add_rows(catalog, GOLD)
    tag_run(catalog, "three")
    before = _counts(catalog)
    with pytest.raises(ConfigurationError, match=r"de-identified in another way at run 'one'"):
        roll_back(profile, "one", tables)
    assert _counts(catalog) == before


@pytest.mark.usefixtures("two_runs")
def test_what_may_not_have_been_de_identified_stays_away(profile: Profile, catalog: Catalog) -> None:
    """A run whose tag keeps a compaction alone no longer tells whether it was: it is not gone back to."""
    add_rows(catalog, silver.ENCOUNTER)
    tag_run(catalog, "three")
    _conform(catalog, silver.ENCOUNTER, privacy="year-1234")
    with pytest.raises(ConfigurationError, match=r"encounter was de-identified in another way at run 'three'"):
        roll_back(profile, "three")
    _conform(catalog, silver.ENCOUNTER)
    assert set(roll_back(profile, "three")["tables"]) == {silver.ENCOUNTER.identifier}


@pytest.mark.usefixtures("two_runs")
@pytest.mark.parametrize(("start", "goal"), [("two", "one"), ("one", "two")])
def test_a_killed_rollback_loses_no_file(
    profile: Profile, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, start: str, goal: str
) -> None:
    """After however many tables it dies, in either direction: no file counts as loaded whose rows are not all there."""
    move = rollback._move
    for survived in (0, 2, 4):
        roll_back(profile, start)
        moves = iter(range(survived))

        def until_killed(step: rollback.Step, moves: Iterator[int] = moves) -> None:
            if next(moves, None) is None:
                raise KeyboardInterrupt
            move(step)

        monkeypatch.setattr(rollback, "_move", until_killed)
        with pytest.raises(KeyboardInterrupt):
            roll_back(profile, goal)
        assert _states(catalog)["two"][0] == DISCOVERED or _counts(catalog)[:2] == [2, 1]
        assert _states(catalog)["one"] == (LOADED, 1)
        monkeypatch.setattr(rollback, "_move", move)
        roll_back(profile, goal)
        assert _counts(catalog) == ([1, 0, 1, 0, 0] if goal == "one" else [2, 1, 2, 1, 1])
        assert _states(catalog)["two"] == ((DISCOVERED, None) if goal == "one" else (LOADED, 2))


@pytest.mark.usefixtures("two_runs")
def test_a_commit_meanwhile_stops_it(profile: Profile, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another run commits after the tables were looked at is not rolled away unseen."""
    move = rollback._move

    def late(step: rollback.Step) -> None:
        if step.name == bronze.PATIENT.identifier:
            add_rows(catalog, bronze.PATIENT, source_uri="file:///drop/three", source_etag="three")
        move(step)

    monkeypatch.setattr(rollback, "_move", late)
    with pytest.raises(JobError, match="another run committed"):
        roll_back(profile, "one")
    assert _counts(catalog)[0] == 3
