"""Gold on real Spark, Iceberg and dbt: built, tested, and left alone where nothing changed."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.dbt.build import build_gold, is_current
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

GOLD = (
    "gold_condition_prevalence",
    "gold_docs_quality",
    "gold_encounter_utilization",
    "gold_patient_encounter_summary",
)


def rows(profile: Profile, name: str) -> list[dict[str, Any]]:
    """Return a gold table's rows through PyIceberg."""
    found: list[dict[str, Any]] = load_pyiceberg(profile).load_table(f"gold.{name}").scan().to_arrow().to_pylist()
    return found


@pytest.fixture(scope="module")
def built(lakehouse: Profile, remote: str, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A lakehouse whose gold was built once, unit tests included."""
    result = build_gold(
        lakehouse, remote=remote, run_id="first", log_dir=tmp_path_factory.mktemp("gold"), unit_tests=True
    )
    assert result.status == "built"
    assert {name: model.status for name, model in result.models.items()} == dict.fromkeys(GOLD, "rebuilt")
    # 22 data tests of gold, 7 of its sources' keys are counted by dbt as passes, and 5 unit tests.
    assert result.tests >= 27
    return lakehouse


def test_patients_are_counted_as_the_rules_say(built: Profile) -> None:
    """Cancelled encounters are apart; a year of birth gives a band and no age; strangers have a row."""
    found = {row["patient_id"]: row for row in rows(built, "gold_patient_encounter_summary")}
    assert (found["p1"]["encounters"], found["p1"]["inpatient_hours"], found["p1"]["age_years"]) == (
        3,
        Decimal("72.00"),
        53,
    )
    assert (found["p2"]["encounters"], found["p2"]["encounters_not_counted"], found["p2"]["open_encounters"]) == (
        1,
        1,
        1,
    )
    assert (found["p2"]["age_years"], found["p2"]["age_band"]) == (None, "35-44")
    assert (found["p3"]["encounters"], found["p3"]["age_band"], found["p3"]["is_deceased"]) == (0, "85+", True)
    assert (found["stranger"]["has_patient_record"], found["stranger"]["encounters"]) == (False, 1)


def test_prevalence_is_of_people(built: Profile) -> None:
    """The merged record's diagnosis is its successor's; three people are the denominator; the cell is small."""
    total = next(
        row for row in rows(built, "gold_condition_prevalence") if (row["age_band"], row["gender"]) == ("all", "all")
    )
    assert (total["population"], total["patients_ever"], total["patients_active"]) == (3, 2, 1)
    assert total["prevalence_ever"] == Decimal("0.666667")
    assert total["is_small_cell"]


def test_utilization_and_documents(built: Profile) -> None:
    """One readmission in January; a document with a blank page is whole, one with none read is not."""
    january = next(row for row in rows(built, "gold_encounter_utilization") if row["class_code"] == "IMP")
    assert (january["encounters"], january["index_discharges"], january["readmissions_30_days"]) == (2, 2, 1)
    quality = {row["doc_id"]: row["quality"] for row in rows(built, "gold_docs_quality")}
    assert quality == {"d1": "good", "d2": "unreadable"}


def test_tables_come_from_the_contract(built: Profile) -> None:
    """NOT NULL and comments of the contract are in the table, and its snapshot names the run."""
    table = load_pyiceberg(built).load_table("gold.gold_docs_quality")
    doc_id = table.schema().find_field("doc_id")
    assert doc_id.required
    assert doc_id.doc == "Hex sha256 of the document"
    snapshot = table.current_snapshot()
    assert snapshot
    assert snapshot.summary
    assert snapshot.summary["lakehouse.run-id"] == "first"


def test_a_second_build_starts_no_dbt_and_commits_nothing(built: Profile, remote: str, tmp_path: Path) -> None:
    """Nothing changed: no process, no snapshot, no new metadata file."""
    catalog = load_pyiceberg(built)
    before = [catalog.load_table(f"gold.{name}").metadata_location for name in GOLD]
    assert is_current(built)
    result = build_gold(built, remote=remote, run_id="second", log_dir=tmp_path / "none")
    assert result.status == "unchanged"
    assert result.seconds < 1
    assert {model.status for model in result.models.values()} == {"unchanged"}
    assert result.models["gold_docs_quality"].rows == 2
    assert not (tmp_path / "none").exists()
    assert [catalog.load_table(f"gold.{name}").metadata_location for name in GOLD] == before
