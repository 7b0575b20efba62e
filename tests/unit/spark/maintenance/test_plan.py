"""What is due, in which order, and what is never let go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_lakehouse.spark.maintenance.health import TableHealth
from airflow_lakehouse.spark.maintenance.history import History, Ref, Snapshot, expirable
from airflow_lakehouse.spark.maintenance.plan import (
    COMPACT,
    DELETES,
    EXPIRE,
    MANIFESTS,
    ORDER,
    ORPHANS,
    plan_table,
)
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.maintenance.procedures import EXPIRED_AT_ONCE, statement
from airflow_lakehouse.spark.maintenance.storage import Orphans

NOW = datetime(2026, 1, 31, tzinfo=UTC)
HEALTHY = TableHealth("silver", "silver_dim_patient", 2, NOW, records=1000, data_files=4, small_files=4)
POLICY = MaintenancePolicy(snapshot_days=5, keep_snapshots=2, min_expired=1)


def _line(*days: float) -> tuple[Snapshot, ...]:
    """Return snapshots 1, 2 ... of these ages in days, each the parent of the next."""
    return tuple(
        Snapshot(number, number - 1 or None, NOW - timedelta(days=age)) for number, age in enumerate(days, start=1)
    )


def _expired(history: History, *needed: int, policy: MaintenancePolicy = POLICY) -> list[int]:
    return [snapshot.id for snapshot in expirable(history, frozenset(needed), policy, NOW)]


def test_what_is_old_and_needed_by_nobody_goes() -> None:
    """Of a line, those beyond the number and the age that are kept go, oldest first."""
    assert _expired(History(6, _line(20, 19, 18, 17, 6, 1))) == [1, 2, 3, 4]
    assert _expired(History(6, _line(20, 19, 4, 3, 2, 1))) == [1, 2]
    assert _expired(History(2, _line(20, 19))) == []
    assert _expired(History(None)) == []


def test_what_a_consumer_needs_stays_with_all_after_it() -> None:
    """Without the snapshots between, nobody could tell that the one it has seen came before the present one."""
    assert _expired(History(6, _line(20, 19, 18, 17, 6, 1)), 3) == [1, 2]
    assert _expired(History(6, _line(20, 19, 18, 17, 6, 1)), 1) == []


def test_tags_and_branches_stay_until_their_own_retention_is_over() -> None:
    """A tag keeps its snapshot, a branch what only it has; one past its retention keeps nothing: Iceberg drops it."""
    line = _line(40, 39, 38, 37, 6, 1)
    assert _expired(History(6, line, (Ref(2),))) == [1, 3, 4]
    assert _expired(History(6, line, (Ref(2, timedelta(days=60)), Ref(3, timedelta(days=30))))) == [1, 3, 4]
    aside = Snapshot(7, 2, NOW - timedelta(days=36))
    further = Snapshot(8, 7, NOW - timedelta(days=35))
    assert _expired(History(6, (*line, aside, further), (Ref(8),))) == [1, 2, 3, 4]
    assert _expired(History(6, (*line, aside, further))) == [1, 2, 3, 4, 7, 8]


@st.composite
def _histories(draw: st.DrawFn) -> History:
    """Return a history that forks, has holes, clocks that go back, tags, and branches."""
    snapshots: list[Snapshot] = []
    for number in range(1, draw(st.integers(1, 14)) + 1):
        parent = draw(st.sampled_from([None, *range(max(1, number - 3), number)])) if number > 1 else None
        age = draw(st.floats(0, 20))
        snapshots.append(Snapshot(number, parent, NOW - timedelta(days=age)))
    ids = [snapshot.id for snapshot in snapshots]
    left = [one for one in snapshots if draw(st.booleans()) or one.id == ids[-1]]
    ages = st.one_of(st.none(), st.floats(0, 20).map(lambda days: timedelta(days=days)))
    refs = draw(st.lists(st.builds(Ref, st.sampled_from(ids), ages), max_size=3))
    head = draw(st.sampled_from([one.id for one in left]))
    return History(head, tuple(left), tuple(refs))


_policies = st.builds(
    MaintenancePolicy, snapshot_days=st.floats(0, 20), keep_snapshots=st.integers(1, 5), min_expired=st.integers(1, 4)
)


@given(history=_histories(), policy=_policies, needed=st.frozensets(st.integers(1, 14)))
def test_nothing_that_is_needed_goes(history: History, policy: MaintenancePolicy, needed: frozenset[int]) -> None:
    """Whatever the history: no head, no needed snapshot or the way to it, nothing young, no live tag or branch goes."""
    going = {snapshot.id for snapshot in expirable(history, needed, policy, NOW)}
    left = replace(history, snapshots=tuple(one for one in history.snapshots if one.id not in going))
    assert history.head in left.by_id
    assert not going & needed
    before = {snapshot.id for snapshot in history.line(history.head)}
    after = {snapshot.id for snapshot in left.line(left.head)}
    assert before & needed <= after, "the way from the present to what a consumer has seen is broken"
    assert len(after) >= min(len(before), policy.keep_snapshots)
    young = {one.id for one in history.snapshots if NOW - one.at <= timedelta(days=policy.snapshot_days)}
    assert not going & young
    for ref in history.refs:
        named = history.by_id.get(ref.snapshot)
        if named and (ref.max_age is None or NOW - named.at <= ref.max_age):
            assert named.id not in going
    assert expirable(left, needed, policy, NOW) == (), "a second time something else would go"


@given(history=_histories(), policy=_policies)
def test_what_nothing_keeps_goes(history: History, policy: MaintenancePolicy) -> None:
    """Without consumers, tags and branches, what is left is young, or an unbroken line from the present."""
    bare = History(history.head, history.snapshots)
    going = {snapshot.id for snapshot in expirable(bare, frozenset(), policy, NOW)}
    main = [snapshot.id for snapshot in bare.line(bare.head)]
    kept = [id_ for id_ in main if id_ not in going]
    assert kept == main[: len(kept)]
    oldest_kept = NOW - timedelta(days=policy.snapshot_days)
    if len(kept) > policy.keep_snapshots:
        assert bare.by_id[kept[-1]].at >= oldest_kept
    assert all(one.at >= oldest_kept for one in bare.snapshots if one.id not in going and one.id not in main)


_BAD: dict[str, dict[str, Any]] = {
    COMPACT: {"small_by_partition": (5, 4)},
    DELETES: {"delete_files": 12, "stray_deletes": 10},
    MANIFESTS: {"manifests": 40, "spare_manifests": 30},
    EXPIRE: {},
    ORPHANS: {"orphans": Orphans(3, 3 * 2**20, 9, 2**24)},
}


@given(bad=st.sets(st.sampled_from(ORDER)))
def test_steps_come_in_the_right_order(bad: set[str]) -> None:
    """Whatever is due: data files, position deletes, manifests, expiry, orphans, and no step that is not due."""
    health = replace(HEALTHY, **{name: value for action in bad for name, value in _BAD[action].items()})
    history = History(6, _line(20, 19, 18, 17, 6, 1)) if EXPIRE in bad else History(2, _line(2, 1))
    steps = plan_table(health, history, frozenset(), replace(POLICY, orphan_days=3))
    assert [step.action for step in steps] == [action for action in ORDER if action in bad]
    assert all(step.reason and step.table == "silver.silver_dim_patient" for step in steps)
    assert [step.snapshots for step in steps if step.action == EXPIRE] == ([(1, 2, 3, 4)] if EXPIRE in bad else [])


def test_thresholds_hold() -> None:
    """Just below each, nothing is due; orphans are nobody's business unless the policy says so."""
    quiet = replace(
        HEALTHY,
        small_by_partition=(4, 4, 4),
        deleted_rows=99,
        delete_files=9,
        stray_deletes=9,
        spare_manifests=29,
        orphans=Orphans(3, 3, 9, 9),
    )
    assert plan_table(quiet, History(6, _line(20, 19, 18, 17, 6, 1)), frozenset(), replace(POLICY, min_expired=5)) == ()
    (step,) = plan_table(replace(quiet, small_by_partition=(5, 4)), History(1, _line(1)), frozenset(), POLICY)[:1]
    assert (step.action, step.reason[:8]) == (COMPACT, "5 of 4 d")


def test_deletes_are_taken_up_with_the_files_they_are_about() -> None:
    """Past the ratio, every data file with a delete file is rewritten, and the delete files that are left go after."""
    health = replace(HEALTHY, deleted_rows=100, delete_files=1)
    steps = plan_table(health, History(1, _line(1)), frozenset(), POLICY)
    assert [step.action for step in steps] == [COMPACT, DELETES]
    assert ("delete-file-threshold", "1") in steps[0].options
    small = plan_table(replace(HEALTHY, small_by_partition=(5,)), History(1, _line(1)), frozenset(), POLICY)
    assert [step.action for step in small] == [COMPACT]
    assert "delete-file-threshold" not in dict(small[0].options)
    vectors = plan_table(replace(health, format_version=3), History(1, _line(1)), frozenset(), POLICY)
    assert [step.action for step in vectors] == [COMPACT]


@pytest.mark.parametrize("tables", [("silver_dim_patient",), ("silver.silver_dim_patient",), ()])
def test_only_tables_of_the_policy_are_maintained(tables: tuple[str, ...]) -> None:
    """A table is named with or without its namespace; no name means every table."""
    bad = replace(HEALTHY, small_by_partition=(5,))
    assert plan_table(bad, History(1, _line(1)), frozenset(), MaintenancePolicy(tables=tables))
    other = replace(bad, name="silver_fct_encounter")
    steps = plan_table(other, History(1, _line(1)), frozenset(), MaintenancePolicy(tables=tables))
    assert bool(steps) is (tables == ())


def test_an_empty_table_has_nothing_to_maintain() -> None:
    """A table without a snapshot is left alone, whatever lies below it."""
    bad = replace(HEALTHY, small_by_partition=(5,), orphans=Orphans(3, 3, 9, 9))
    assert plan_table(bad, History(None), frozenset(), replace(POLICY, orphan_days=3)) == ()


def test_statements_name_what_goes() -> None:
    """Expiry names its snapshots and gives an age that lets no other go; the options of a step reach its procedure."""
    (compact, expire) = plan_table(
        replace(HEALTHY, small_by_partition=(5,)),
        History(6, _line(20, 19, 18, 17, 6, 1)),
        frozenset({3}),
        POLICY,
    )
    assert statement(compact) == (
        "CALL lakehouse.system.rewrite_data_files(table => 'silver.silver_dim_patient',"
        " options => map('min-input-files', '5', 'remove-dangling-deletes', 'true'))"
    )
    assert "strategy => 'sort', options" in statement(replace(compact, is_sorted=True))
    assert statement(expire) == (
        "CALL lakehouse.system.expire_snapshots(table => 'silver.silver_dim_patient',"
        " older_than => TIMESTAMP '1970-01-01 00:00:00', snapshot_ids => array(1, 2))"
    )
    many = replace(expire, snapshots=tuple(range(EXPIRED_AT_ONCE + 7)))
    assert statement(many).endswith(f" {EXPIRED_AT_ONCE - 1}))")
