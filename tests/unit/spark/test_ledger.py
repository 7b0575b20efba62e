"""The ledger, on a real catalog without Spark: who names a file's time, and which version of a file is dead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.exceptions import CommitFailedException

from airflow_lakehouse.parsing import SourceFile
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze import ledger_rows
from airflow_lakehouse.spark.bronze.discovery import Found
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import ops

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.spark.bronze.ledger_rows import Entry


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a catalog with an empty ledger."""
    profile = Profile(str(tmp_path / "warehouse"))
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    create_table(catalog, ops.INGESTED_FILES)
    return catalog


def _found(*names: str) -> list[Found]:
    return [Found(SourceFile(f"file:///drop/{name[0]}", name, 1), "fhir", "1") for name in names]


def test_of_two_runs_the_first_names_the_time(catalog: Catalog) -> None:
    """Both planned before either wrote: both load under the batch and time of the one that wrote first."""
    first, second = Ledger(catalog), Ledger(catalog)
    plans = [first.plan(_found("a1"), "job")[0], second.plan(_found("a1", "b1"), "job")[0]]
    claimed = [first.claim(plans[0], "run-1"), second.claim(plans[1], "run-2")]
    assert claimed[0][0].ingested_at == claimed[1][0].ingested_at == plans[0][0].ingested_at
    assert claimed[0][0].batch_id == claimed[1][0].batch_id != claimed[1][1].batch_id
    assert [entry.resumed for entry in claimed[1]] == [True, False]
    assert len(Ledger(catalog).rows()) == 2


def test_writers_that_meet_lose_nothing(catalog: Catalog) -> None:
    """A ledger that was read before another run wrote does not write over what that one has written."""
    one, other = Ledger(catalog), Ledger(catalog)
    plans = [ledger_.plan(_found(name), "job")[0] for ledger_, name in ((one, "a1"), (other, "b1"))]
    one.claim(plans[0], "run-1")
    other.claim(plans[1], "run-2")
    one.write([entry.loaded(1, 0) for entry in plans[0]], "run-1")
    assert sorted((row["source_etag"], row["state"]) for row in Ledger(catalog).rows()) == [
        ("a1", "loaded"),
        ("b1", "discovered"),
    ]


def test_a_ledger_made_anew_does_not_undo_what_another_run_wrote(catalog: Catalog) -> None:
    """Who replaces all entries has read them; one that was written since is a conflict and stays."""
    book = Ledger(catalog)
    book.claim(book.plan(_found("a1"), "job")[0], "run-1")
    wanted = {key: {**row, "size": None} for key, row in book.entries().items()}
    other = Ledger(catalog)
    other.claim(other.plan(_found("b1"), "job")[0], "run-2")
    with pytest.raises(CommitFailedException):
        book.replace(wanted)
    assert sorted(row["source_etag"] for row in Ledger(catalog).rows()) == ["a1", "b1"]


def test_a_document_that_could_not_be_read_is_read_again(catalog: Catalog) -> None:
    """What lies in quarantine as a whole is looked at by the next reading; what was loaded, in part even, is not."""
    book = Ledger(catalog)
    claimed = book.claim(book.plan(_found("a1", "b1", "c1"), "job")[0], "run-1")
    book.write([entry.loaded(2, bad) for entry, bad in zip(claimed, (0, 1, 2), strict=True)], "run-1")
    assert [item.file.etag for item in Ledger(catalog).unread(_found("a1", "b1", "c1", "d1"))] == ["c1", "d1"]


def test_time_does_not_go_back(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is later than every batch before it, though the clock of its worker is two hours behind."""
    book = Ledger(catalog)
    (first,) = book.claim(book.plan(_found("a1"), "job")[0], "run-1")

    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz or UTC) - timedelta(hours=2)

    monkeypatch.setattr(ledger_rows, "datetime", Late)
    (second,) = book.plan(_found("a2"), "job")[0]
    assert second.ingested_at > first.ingested_at


def test_a_version_is_dead_once_a_newer_one_is_loaded(catalog: Catalog) -> None:
    """Also one that a killed run has half loaded, and nobody will load again; not one that is the newest so far."""
    book = Ledger(catalog)
    book.claim(book.plan(_found("a1"), "job")[0], "killed")
    assert book.dead_versions() == []
    claimed = book.claim(book.plan(_found("a2"), "job")[0], "run")
    assert book.dead_versions() == []
    book.write([entry.loaded(1, 0) for entry in claimed], "run")
    assert Ledger(catalog).dead_versions() == [("file:///drop/a", "a1")]


def _load(catalog: Catalog, *names: str) -> list[Entry]:
    """List a drop and load it, as the job does; return what was replaced, or waited, as the ledger then has it."""
    book = before = Ledger(catalog)
    plan = book.plan(_found(*names), "job")
    claimed = book.claim([*plan.pending, *plan.replaced], "run", before)
    book.write([entry.loaded(1, 0) for entry in claimed[: len(plan.pending)]], "run")
    return claimed


def test_a_version_that_is_back_is_live(catalog: Catalog) -> None:
    """A, B, A under one name: the last A is live, under the batch and time it always had; and B when that is back."""
    (first,) = _load(catalog, "a1")
    _load(catalog, "a2")
    (back,) = _load(catalog, "a1")
    assert Ledger(catalog).dead_versions() == [("file:///drop/a", "a2")]
    assert (back.batch_id, back.ingested_at, back.state) == (first.batch_id, first.ingested_at, ledger_rows.LOADED)
    assert ledger_rows.returned(Ledger(catalog).rows()) == [("file:///drop/a", "a1")]
    assert not Ledger(catalog).plan(_found("a1"), "job").replaced
    _load(catalog, "a2")
    assert Ledger(catalog).dead_versions() == [("file:///drop/a", "a1")]


def test_a_version_that_was_never_loaded_and_is_back_is_live(catalog: Catalog) -> None:
    """Written down by a run that was killed, replaced by another version, and there again."""
    book = Ledger(catalog)
    book.claim(book.plan(_found("a1"), "job").pending, "killed")
    _load(catalog, "a2")
    assert Ledger(catalog).dead_versions() == [("file:///drop/a", "a1")]
    _load(catalog, "a1")
    assert Ledger(catalog).dead_versions() == [("file:///drop/a", "a2")]


def test_a_version_that_took_its_place_and_was_never_loaded_is_dead(catalog: Catalog) -> None:
    """A, then B by a run that was killed half way, then A again: what is in bronze of B counts no more."""
    _load(catalog, "a1")
    book = Ledger(catalog)
    book.claim(book.plan(_found("a2"), "job").pending, "killed")
    assert Ledger(catalog).dead_versions() == []
    _load(catalog, "a1")
    assert Ledger(catalog).dead_versions() == [("file:///drop/a", "a2")]


def test_an_old_listing_takes_nothing_back(catalog: Catalog) -> None:
    """A run that has listed the drop before another one loaded a new version does not take the old one for back."""
    _load(catalog, "a1")
    before = Ledger(catalog)
    _load(catalog, "a2")
    late = Ledger(catalog)
    late.claim(late.plan(_found("a1"), "job").replaced, "late", before)
    assert Ledger(catalog).dead_versions() == [("file:///drop/a", "a1")]


def test_what_is_loaded_between_plan_and_claim_stays(catalog: Catalog) -> None:
    """An old version is back, and a third is loaded by another run before that is written down: the third is live."""
    _load(catalog, "a1")
    _load(catalog, "a2")
    late = Ledger(catalog)
    plan = late.plan(_found("a1"), "job")
    _load(catalog, "a3")
    late.claim(plan.replaced, "late", late)
    assert Ledger(catalog).dead_versions() == [("file:///drop/a", "a1"), ("file:///drop/a", "a2")]
