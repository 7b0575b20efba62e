"""Gold as of a moment: what gold said then, in a namespace of its own; today's is left alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from silver_rows import append, encounter

from airflow_lakehouse.cli import main
from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.dbt.build import build_gold, is_current
from airflow_lakehouse.spark.engine.session import open_session
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

GOLD = (
    "gold_condition_prevalence",
    "gold_docs_quality",
    "gold_encounter_utilization",
    "gold_patient_encounter_summary",
)


def _content(profile: Profile, namespace: str) -> dict[str, list[str]]:
    rows = {model: read_rows(profile, f"{namespace}.{model}") for model in GOLD}
    return {model: sorted(json.dumps(row, default=str) for row in found) for model, found in rows.items()}


def _state(profile: Profile, namespace: str) -> dict[str, Any]:
    """Return the snapshots and notes of the tables of a namespace."""
    tables = [load_pyiceberg(profile).load_table(f"{namespace}.{model}") for model in GOLD]
    return {
        ".".join(table.name()): ([one.snapshot_id for one in table.snapshots()], table.properties) for table in tables
    }


def test_gold_says_what_it_said_then(
    lakehouse: Profile, remote: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Built from silver as of a time, it is what it was; today's keeps its rows, snapshots and notes."""
    build_gold(lakehouse, remote=remote, run_id="then", log_dir=tmp_path / "then")
    before, then = _content(lakehouse, "gold"), datetime.now(UTC).isoformat()
    with open_session(lakehouse, remote) as spark:
        append(spark, "silver_fct_encounter", [encounter(8, "p1", "AMB", "2024-07-01T08:00:00", 1.0)])
    build_gold(lakehouse, remote=remote, run_id="now", log_dir=tmp_path / "now")
    today, state = _content(lakehouse, "gold"), _state(lakehouse, "gold")
    assert today != before

    command = ["gold", "--warehouse", lakehouse.warehouse, "--as-of", then, "--into", "gold_then"]
    capsys.readouterr()
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)["tables"]
    assert _content(lakehouse, "gold_then") == before
    assert told == {f"gold_then.{model}": {"rows": len(rows)} for model, rows in before.items()}
    assert (_content(lakehouse, "gold"), _state(lakehouse, "gold")) == (today, state)
    assert is_current(lakehouse)

    copied = _state(lakehouse, "gold_then")
    assert main(command) == 0
    assert _state(lakehouse, "gold_then") == copied, "it was built from the same, and dbt is not started"
    capsys.readouterr()
    assert main(["tables", "--warehouse", lakehouse.warehouse, "--json"]) == 0
    listed = {(one["namespace"], one["name"]) for one in json.loads(capsys.readouterr().out)}
    assert {("gold_then", model) for model in GOLD} <= listed
    assert read_rows(lakehouse, GOLD[0]) == read_rows(lakehouse, f"gold.{GOLD[0]}"), "a name alone is today's"


def test_what_had_no_rows_then_is_empty(lakehouse: Profile) -> None:
    """As of a time before anything was loaded, every source is empty, and gold is built of that."""
    command = ["gold", "--warehouse", lakehouse.warehouse, "--as-of", "2000-01-01", "--into", "gold_before"]
    assert main(command) == 0
    assert _content(lakehouse, "gold_before") == {model: [] for model in GOLD}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--as-of", "2026-01-01"], "and a namespace"),
        (["--into", "gold_then"], "a moment and"),
        (["--as-of", "2026-01-01", "--into", "gold"], "gold_2025q4"),
        (["--as-of", "2026-01-01", "--into", "silver"], "gold_2025q4"),
        (["--as-of", "nobody", "--into", "gold_then"], "no run, tag, branch or time"),
    ],
)
def test_todays_gold_is_never_the_target(
    lakehouse: Profile, capsys: pytest.CaptureFixture[str], given: list[str], told: str
) -> None:
    """A moment without a namespace of its own is refused before dbt is started, and so is a moment nobody knows."""
    assert main(["gold", "--warehouse", lakehouse.warehouse, *given]) == 2
    assert told in capsys.readouterr().err
