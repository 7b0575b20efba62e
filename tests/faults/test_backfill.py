"""A backfill while the daily run goes on, row 29 in silver, and a replay beside it in another process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.expressions import AlwaysTrue

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.spark.iceberg import load
from airflow_lakehouse.spark.storage.catalog import get_table, load_pyiceberg
from airflow_lakehouse.testing.reference import ReferenceLakehouse, compare, read_drop
from tests.faults.helpers import NOTHING, SPARK, observation, patient, to_bronze, to_silver, version
from tests.faults.meeting import both, meeting
from tests.spark.helpers import write_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.profile import Profile

pytestmark = [*SPARK, pytest.mark.thorough]
PLUGIN = Path(__file__).parents[2] / "plugins" / "lakehouse_csv_parser" / "lakehouse_csv_parser" / "__init__.py"
FIRST_DAY = "2026-01-01"


def _day(profile: Profile, day: int, *resources: dict[str, Any]) -> None:
    write_lines(Path(profile.raw or "") / f"fhir/dt=2026-01-{day:02d}/1.ndjson", *resources)


def _parts(*names: str) -> dict[str, Any]:
    return {"component": [{"code": {"text": name}} for name in names]}


@pytest.fixture
def damaged(warehouse: Profile, tmp_path: Path) -> Profile:
    """Return a lakehouse of two days in which somebody has changed rows of silver.

    Each row is still there: a run that counts too few would stop, and rightly so, until all of them are mended.
    """
    profile = warehouse.with_raw(str(tmp_path / "drop"))
    _day(profile, 1, patient("p", **version(1)), patient("q"), observation("a", **version(1), **_parts("one", "two")))
    _day(profile, 2, patient("p", **version(2)), patient("r"), observation("b", **version(2), **_parts("one")))
    to_bronze(profile)
    to_silver(profile)
    for name, change in {"silver_dim_patient": {"version_id": "0"}, "silver_fct_observation": {"unit": "?"}}.items():
        table = get_table(load_pyiceberg(profile), name)
        rows = table.scan().to_arrow()
        table.overwrite(rows.from_pylist([row | change for row in rows.to_pylist()], rows.schema), AlwaysTrue())
    return profile


def _daily(profile: Profile) -> None:
    """Let a third day arrive, which takes keys of the first further, and go through silver."""
    _day(profile, 3, patient("p", **version(3)), patient("s"), observation("a", hour=11, **version(3), **_parts("one")))
    to_bronze(profile)
    to_silver(profile)


def _backfill(profile: Profile) -> None:
    to_silver(profile, full=True, dt=f"..{FIRST_DAY}")
    to_silver(profile, full=True, dt="2026-01-02")


def _check(profile: Profile) -> None:
    """Compare with the reference, and see that the next run finds nothing to do."""
    expected = ReferenceLakehouse()
    expected.run(read_drop(Path(profile.raw or "")))
    assert compare(profile, expected) == NOTHING
    assert to_silver(profile).status == "unchanged"
    assert compare(profile, expected) == NOTHING


@pytest.mark.parametrize(
    ("outer", "inner", "commits"),
    [(_backfill, _daily, 0), (_backfill, _daily, 1), (_daily, _backfill, 1)],
    ids=["daily in backfill", "daily later in backfill", "backfill in daily"],
)
def test_one_runs_within_the_other(
    damaged: Profile,
    monkeypatch: pytest.MonkeyPatch,
    outer: Callable[[Profile], None],
    inner: Callable[[Profile], None],
    commits: int,
) -> None:
    """Whichever begins first, and after however many of its commits the other one comes: the same silver."""
    original, left = load.conform, [commits]

    def step(*args: Any, **kwargs: Any) -> None:
        if left and not left[0]:
            left.clear()
            inner(damaged)
        elif left:
            left[0] -= 1
        original(*args, **kwargs)

    monkeypatch.setattr(load, "conform", step)
    outer(damaged)
    assert not left, "the other one never ran"
    _check(damaged)


def test_both_commit_at_once(damaged: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backfill and the daily run reach the same commit together; the later one looks again."""
    _day(damaged, 3, patient("p", **version(3)), patient("s"))
    to_bronze(damaged)
    with meeting("head", monkeypatch):
        both(lambda: to_silver(damaged), lambda: to_silver(damaged, full=True, dt=f"{FIRST_DAY}..2026-01-02"))
    _check(damaged)


def _register(profile: Profile, day: int, *people: str) -> None:
    path = Path(profile.raw or "") / f"dt=2026-01-{day:02d}" / "register.txt"
    path.parent.mkdir(parents=True)
    path.write_text("patient_id,vaccine,given_on,dose_ml\n" + "".join(f"{one},08,2026-01-01,1\n" for one in people))


def _at_once(*commands: list[str]) -> list[dict[str, Any]]:
    """Run commands as processes of their own at the same time, and return what each said last."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "airflow_lakehouse.cli", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for command in commands
    ]
    told = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0] * len(started), told
    return [json.loads(out.decode().splitlines()[-1]) for out, _ in told]


def test_replays_of_two_ranges_beside_the_daily_run(warehouse: Profile, tmp_path: Path) -> None:
    """Three processes at once: what a range names is tried again once, by one of them; no row is lost or doubled."""
    profile = replace(warehouse, raw=str(tmp_path / "drop"))
    for day in (1, 2, 3):
        _register(profile, day, f"a{day}", f"b{day}")
    _day(profile, 3, patient("p"))
    to_bronze(profile)
    to_silver(profile)
    _register(profile, 4, "a4")
    _day(profile, 4, patient("q"))
    common = ["--warehouse", profile.warehouse, "--parser", str(PLUGIN), "--through", "silver"]
    first, second, daily = _at_once(
        ["replay", *common, "--dt", "2026-01-01..2026-01-02"],
        ["replay", *common, "--dt", "2026-01-02", "--reason", "UNKNOWN_FORMAT"],
        ["run", str(tmp_path / "drop"), *common],
    )
    assert first["records"]["tried"] == 2
    assert second["records"]["tried"] <= 1
    assert daily["files"]["loaded"] == 2
    rows = sorted(row["patient_id"] for row in read_rows(profile, "bronze_csv_immunisation"))
    assert rows == ["a1", "a2", "a4", "b1", "b2"]
    # The third day was asked for by nobody.
    assert [row["dt"].isoformat() for row in read_rows(profile, "bronze_quarantine")] == ["2026-01-03"]
    assert {row["patient_id"] for row in read_rows(profile, "silver_dim_patient")} == {"p", "q"}
    (again,) = _at_once(["replay", *common, "--dt", "..2026-01-02"])
    assert (again["changed"], again["records"]["tried"]) == (False, 0)
    (rest,) = _at_once(["replay", *common])
    assert rest["records"] == {"tried": 1, "bronze": 2, "quarantine": 0}
