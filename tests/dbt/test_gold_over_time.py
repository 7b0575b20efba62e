"""Gold over time: what a change of the data or of a contract commits, and what stops a build."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from silver_rows import append, encounter, page

from airflow_lakehouse.dbt.build import build_gold
from airflow_lakehouse.dbt.freshness import TESTED
from airflow_lakehouse.exceptions import AuditError, JobError
from airflow_lakehouse.resources import resource_dir
from airflow_lakehouse.spark.engine.session import open_session
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


@pytest.fixture
def built(lakehouse: Profile, remote: str, tmp_path: Path) -> Profile:
    """A lakehouse whose gold is up to date, in whatever order the tests run."""
    build_gold(lakehouse, remote=remote, run_id="base", log_dir=tmp_path / "base")
    return lakehouse


def test_equal_rows_commit_no_snapshot(built: Profile, remote: str, tmp_path: Path) -> None:
    """dbt runs over changed sources and the same rows come out: only the note of the sources moves."""
    with open_session(built, remote) as spark:
        append(spark, "silver_fct_doc_blocks", [_page_block()])
    before, notes = snapshots(built), _notes(built)
    result = build_gold(built, remote=remote, run_id="equal", log_dir=tmp_path)
    assert result.status == "built"
    assert snapshots(built) == before
    assert {name for name, note in _notes(built).items() if note != notes[name]} == {"gold_docs_quality"}
    assert build_gold(built, remote=remote, run_id="again").status == "unchanged"


def test_only_what_reads_a_changed_source_is_built(built: Profile, remote: str, tmp_path: Path) -> None:
    """A new encounter changes two marts in one commit each and leaves the documents alone."""
    before = snapshots(built)
    with open_session(built, remote) as spark:
        append(spark, "silver_fct_encounter", [encounter(7, "p1", "AMB", "2023-07-01T08:00:00", 1.0)])
    build_gold(built, remote=remote, run_id="more", log_dir=tmp_path)
    grown = {name: len(found) - len(before[name]) for name, found in snapshots(built).items()}
    assert grown["gold_patient_encounter_summary"] == grown["gold_encounter_utilization"] == 1
    assert grown["gold_docs_quality"] == 0


def test_columns_are_added_and_never_taken_away(built: Profile, remote: str, tmp_path: Path) -> None:
    """A column of the contract appears in the table; one that is removed stops the model and harms no reader."""
    project = tmp_path / "project"
    shutil.copytree(resource_dir("dbt_example"), project)
    sql, yml = (project / "models" / "marts" / f"gold_docs_quality.{end}" for end in ("sql", "yml"))
    original = sql.read_text(), yml.read_text()
    sql.write_text(
        original[0].replace("    blocks.patient_id,", "    pages.pages_ok > 0 as has_text,\n    blocks.patient_id,")
    )
    column = "      - name: has_text\n        data_type: boolean\n        description: Whether any page has text\n"
    yml.write_text(original[1].replace("      - name: patient_id\n", f"{column}      - name: patient_id\n", 1))
    table = "gold_docs_quality"
    build_gold(built, remote=remote, run_id="add", project=project, select=table, log_dir=tmp_path / "add")
    catalog = load_pyiceberg(built)
    added = catalog.load_table(f"gold.{table}").scan(row_filter="doc_id in ('d1', 'd2')").to_arrow().to_pylist()
    assert {row["doc_id"]: row["has_text"] for row in added} == {"d1": True, "d2": False}

    sql.write_text(original[0])
    yml.write_text(original[1])
    before = snapshots(built)
    with pytest.raises(JobError, match=f"model {table}"):
        build_gold(built, remote=remote, run_id="drop", project=project, select=table, log_dir=tmp_path / "drop")
    assert "columns the contract lacks: has_text" in (tmp_path / "drop" / "dbt.out").read_text()
    assert snapshots(built) == before
    # The remedy the message names; it leaves the warehouse as the other tests want it.
    catalog.drop_table(f"gold.{table}")


def test_a_failing_test_fails_the_build(built: Profile, remote: str, tmp_path: Path) -> None:
    """A document with a page nobody accounts for ends the build as an audit that names the test."""
    pages = load_pyiceberg(built).load_table("bronze.bronze_docs_pages")
    good = pages.current_snapshot()
    with open_session(built, remote) as spark:
        append(spark, "bronze_docs_pages", [page("d3", 1, 2, "ok")])
    with pytest.raises(AuditError, match="test every_page_is_accounted_for"):
        build_gold(built, remote=remote, run_id="bad", log_dir=tmp_path)
    # Nothing was noted as built from it: the next build tries again.
    with pytest.raises(AuditError, match="test every_page_is_accounted_for"):
        build_gold(built, remote=remote, run_id="bad again", log_dir=tmp_path)
    assert good is not None
    with open_session(built, remote) as spark:
        spark.sql(f"CALL lakehouse.system.rollback_to_snapshot('bronze.bronze_docs_pages', {good.snapshot_id})")
    assert build_gold(built, remote=remote, run_id="mended", log_dir=tmp_path).status == "built"


def snapshots(profile: Profile) -> dict[str, list[int]]:
    """Return the snapshots each gold table has had."""
    catalog = load_pyiceberg(profile)
    return {
        name: [snapshot.snapshot_id for snapshot in catalog.load_table(f"gold.{name}").snapshots()] for name in GOLD
    }


def _page_block() -> dict[str, Any]:
    """Return a block that gold does not count: a PAGE holds lines and words and is none itself."""
    return {
        "doc_id": "d1",
        "page": 1,
        "block_id": "b0",
        "block_type": "PAGE",
        "engine": "rapidocr",
        "engine_version": "1",
    }


def _notes(profile: Profile) -> dict[str, str]:
    catalog = load_pyiceberg(profile)
    return {name: catalog.load_table(f"gold.{name}").properties[TESTED] for name in GOLD}
