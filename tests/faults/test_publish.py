"""Write, audit, publish: what readers of silver see of a run, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql.types import StructType

from airflow_lakehouse.cli.runs import list_runs
from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import CheckFailedError, ConfigurationError, ConflictError
from airflow_lakehouse.spark.engine.job_session import job_session
from airflow_lakehouse.spark.iceberg import branches, conflicts
from airflow_lakehouse.spark.jobs import JobArguments, run_job
from airflow_lakehouse.spark.silver import resources
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.tables import Table, silver
from airflow_lakehouse.tables.checks import Check
from tests.faults.dying import KilledError, dying, raise_killed
from tests.faults.helpers import SPARK
from tests.spark.helpers import load, silver_content, snapshots, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

pytestmark = SPARK
PATIENT, ENCOUNTER = silver.PATIENT, silver.ENCOUNTER


def _patient(id_: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "gender": "female", **more}


def _encounter(id_: str) -> dict[str, Any]:
    return {"resourceType": "Encounter", "id": id_, "status": "finished", "subject": {"reference": "Patient/p"}}


def _silver(profile: Profile) -> dict[str, int | None]:
    return {name: id_ for name, id_ in snapshots(profile).items() if name.startswith("silver.")}


def _branches(profile: Profile) -> set[str]:
    return {row["name"] for row in list_runs(profile) if row["kind"] == "branch"}


def _audits(profile: Profile, run_id: str, outcome: str) -> list[dict[str, Any]]:
    rows = read_rows(profile, "ops.audits")
    return [row for row in rows if row["run_id"] == run_id and row["outcome"] == outcome]


def _move_main(profile: Profile, table: Table) -> None:
    """Commit to the main branch of a table, as a compaction does: every row is there as before."""
    found = load_pyiceberg(profile).load_table(table.identifier)
    found.overwrite(found.scan().to_arrow())


def test_readers_see_all_tables_of_a_run_or_none(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the first table is published, all have been staged and audited, and none was seen before."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", _patient("p"), _encounter("e"))
    load(warehouse, drop)
    before, seen = _silver(warehouse), []
    publish = branches.publish

    def watched(catalog: Any, staged: branches.Staged) -> None:
        seen.append((_silver(warehouse), {one.name for one in silver.TABLES if _has(warehouse, one, staged.branch)}))
        publish(catalog, staged)

    monkeypatch.setattr(branches, "publish", watched)
    write_lines(drop / "2.ndjson", _patient("q"), _encounter("f"))
    _, done = load(warehouse, drop)
    at_first, staged = seen[0]
    assert at_first == before
    assert staged == {table.name for table in silver.TABLES if table.name in done.tables}
    assert {PATIENT.name, ENCOUNTER.name} <= staged
    assert not _branches(warehouse)
    assert _audits(warehouse, done.run_id, "passed")
    assert not _audits(warehouse, done.run_id, "failed")


def _has(profile: Profile, table: Table, branch: str) -> bool:
    return branch in load_pyiceberg(profile).load_table(table.identifier).refs()


def test_a_drop_that_arrives_cut_off_is_not_published(warehouse: Profile, tmp_path: Path) -> None:
    """Row 34: most rows would go: readers keep them, the branch shows what was to be, a run may be told to go on."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", *(_patient(f"p{number}") for number in range(1200)))
    load(warehouse, drop)
    before = _silver(warehouse)
    write_lines(drop / "1.ndjson", *(_patient(f"p{number}") for number in range(500)))
    arguments = JobArguments(warehouse.with_raw(str(drop)), "cut:off+1")
    run_job("raw_to_bronze", arguments)
    with pytest.raises(CheckFailedError, match=r"ROW_COUNT: 700 of 1200 rows would go.*--as-of audit_cut%3Aoff%2B1_"):
        run_job("bronze_to_silver", arguments)
    assert _silver(warehouse) == before

    (branch,) = _branches(warehouse)
    assert len(read_rows(warehouse, PATIENT.identifier)) == 1200
    assert len(read_rows(warehouse, PATIENT.identifier, as_of=branch)) == 500
    (failed,) = _audits(warehouse, "cut:off+1", "failed")
    assert (failed["table_name"], failed["check"], failed["failed"]) == (PATIENT.name, "ROW_COUNT", 700)
    assert failed["branch"] == branch

    with pytest.raises(CheckFailedError):
        run_job("bronze_to_silver", JobArguments(warehouse, "again"))
    as_templates_give_it = {"profile": warehouse.as_dict(), "run_id": "accepting", "accept": "ROW_COUNT"}
    accepting = JobArguments.from_dict(as_templates_give_it)
    assert run_job("bronze_to_silver", accepting).tables[PATIENT.name]["deleted"] == 700
    assert len(read_rows(warehouse, PATIENT.identifier)) == 500
    assert [row["check"] for row in _audits(warehouse, "accepting", "accepted")] == ["ROW_COUNT"]


@pytest.mark.parametrize("meets", ["another run", pytest.param("a conflict", marks=pytest.mark.thorough)])
def test_a_table_that_is_empty_when_a_run_looks(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meets: str
) -> None:
    """Row 5: another run fills it before it is branched, or an attempt is begun again: its rows are there once."""
    write_lines(tmp_path / "drop/1.ndjson", _patient("p"), _encounter("e"))
    arguments = JobArguments(warehouse.with_raw(str(tmp_path / "drop")))
    run_job("raw_to_bronze", arguments)
    original, calls = branches.create, list[Table]()

    def create(spark: Any, catalog: Any, table: Table, *more: Any) -> int:
        calls.append(table)
        if meets == "another run" and len(calls) == 1:
            run_job("bronze_to_silver", JobArguments(warehouse, "first"))
        if meets == "a conflict" and len(calls) == 2:
            raise ConflictError("made up by the test", remedy="look again")
        return original(spark, catalog, table, *more)

    monkeypatch.setattr(branches, "create", create)
    run_job("bronze_to_silver", arguments)
    assert len(calls) > 2
    assert [row["patient_id"] for row in read_rows(warehouse, PATIENT.identifier)] == ["p"]
    assert [row["encounter_id"] for row in read_rows(warehouse, ENCOUNTER.identifier)] == ["e"]
    held = load_pyiceberg(warehouse).load_table(PATIENT.identifier).current_snapshot()
    told = dict(held.summary.additional_properties) if held and held.summary else {}
    assert told["lakehouse.run-id"] == ("first" if meets == "another run" else arguments.run_id)
    assert len(told["lakehouse.try"]) == 8
    assert not _branches(warehouse)


@pytest.mark.thorough
def test_a_row_that_fails_a_check_is_named_by_where_it_came_from(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 34: file and line, and no value of it; the neighbours of the table, and the other tables, wait with it."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", _patient("p"), _encounter("e"))
    load(warehouse, drop)
    before = _silver(warehouse)
    known = Check("GENDER_KNOWN", "gender IN ('female', 'male')", "a test's own")
    monkeypatch.setitem(vars(PATIENT), "row_checks", (*PATIENT.row_checks, known))
    write_lines(drop / "2.ndjson", _patient("q"), _patient("s3cret", gender="s3cret"), _encounter("f"))
    with pytest.raises(
        CheckFailedError, match=r"GENDER_KNOWN: 1 of 2 rows fail, from file:\S+/2\.ndjson:2\. "
    ) as error:
        load(warehouse, drop)
    assert "s3cret" not in str(error.value)
    assert _silver(warehouse) == before
    (failed,) = [row for row in read_rows(warehouse, "ops.audits") if row["outcome"] == "failed"]
    assert [(one["source_uri"].rpartition("/")[2], one["source_row"]) for one in failed["examples"]] == [
        ("2.ndjson", 2)
    ]

    write_lines(drop / "2.ndjson", _patient("q"), _encounter("f"))
    _, mended = load(warehouse, drop)
    assert mended.tables[PATIENT.name]["added"] == 1
    assert {row["patient_id"] for row in read_rows(warehouse, PATIENT.identifier)} == {"p", "q"}


@pytest.mark.thorough
def test_two_rows_of_a_key_are_not_published(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transform that doubles a row is found by the grain, and cannot be told to go on."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", _patient("p"))
    load(warehouse, drop)
    patients = resources.RESOURCE_TABLES[0]
    doubling = resources.ResourceTable(
        patients.target,
        patients.source,
        lambda rows: patients.transform(rows).unionByName(patients.transform(rows)),
        patients.about,
    )
    rest = resources.RESOURCE_TABLES[1:]
    write_lines(drop / "2.ndjson", _patient("q"))
    with monkeypatch.context() as patched:
        patched.setattr(resources, "RESOURCE_TABLES", (doubling, *rest))
        with pytest.raises(CheckFailedError, match=r"UNIQUE_KEY: 2 of 2 rows fail") as error:
            load(warehouse, drop)
    assert "--accept" not in str(error.value)
    with pytest.raises(ConfigurationError, match="UNIQUE_KEY cannot be accepted"):
        run_job("bronze_to_silver", JobArguments(warehouse, accept=("UNIQUE_KEY",)))
    load(warehouse, drop)
    assert {row["patient_id"] for row in read_rows(warehouse, PATIENT.identifier)} == {"p", "q"}


def test_what_moves_main_meanwhile_is_built_upon(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 34: a compaction between audit and publication: that table alone is made again, and audited again."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", _patient("p"), _encounter("e"))
    load(warehouse, drop)
    refreshed: list[str] = []
    refresh, check_base = resources.refresh, branches.check_base

    def counting(work: Any, made: resources.ResourceTable, *marks: Any) -> Any:
        refreshed.append(made.target.name)
        return refresh(work, made, *marks)

    def compacted(catalog: Any, staged: branches.Staged) -> Any:
        if staged.table is ENCOUNTER and refreshed.count(ENCOUNTER.name) == 1:
            _move_main(warehouse, ENCOUNTER)
        return check_base(catalog, staged)

    monkeypatch.setattr(resources, "refresh", counting)
    monkeypatch.setattr(branches, "check_base", compacted)
    write_lines(drop / "2.ndjson", _patient("q"), _encounter("f"))
    _, done = load(warehouse, drop)
    assert (refreshed.count(PATIENT.name), refreshed.count(ENCOUNTER.name)) == (1, 2)
    assert {row["encounter_id"] for row in read_rows(warehouse, ENCOUNTER.identifier)} == {"e", "f"}
    assert done.tables[ENCOUNTER.name]["added"] == 1
    checks = [row["check"] for row in _audits(warehouse, done.run_id, "passed") if row["table_name"] == ENCOUNTER.name]
    assert len(checks) == len(set(checks)) > 0
    assert not _branches(warehouse)


@pytest.mark.thorough
def test_a_main_that_never_rests_ends_the_run(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 34: after a bounded number of attempts the run fails, with readers where they were and no branch left."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", _patient("p"))
    load(warehouse, drop)
    content, check_base, attempts = silver_content(warehouse), branches.check_base, []

    def restless(catalog: Any, staged: branches.Staged) -> Any:
        if staged.table is PATIENT:
            attempts.append(staged)
            _move_main(warehouse, PATIENT)
        return check_base(catalog, staged)

    monkeypatch.setattr(conflicts, "ATTEMPTS", 2)
    monkeypatch.setattr(conflicts, "_PAUSE_SECONDS", 0)
    with monkeypatch.context() as patched:
        patched.setattr(branches, "check_base", restless)
        write_lines(drop / "2.ndjson", _patient("q"))
        with pytest.raises(ConflictError):
            load(warehouse, drop)
    assert len(attempts) == 2
    assert silver_content(warehouse) == content
    assert not _branches(warehouse)
    load(warehouse, drop)
    assert {row["patient_id"] for row in read_rows(warehouse, PATIENT.identifier)} == {"p", "q"}


@pytest.mark.parametrize(
    "published", [pytest.param(0, marks=pytest.mark.thorough), 1, pytest.param(2, marks=pytest.mark.thorough)]
)
def test_a_run_that_dies_while_it_publishes_is_gone_on_with(warehouse: Profile, tmp_path: Path, published: int) -> None:
    """Row 34: killed after so many tables: the next run publishes the rest, and every row is there once."""
    drop, profile = tmp_path / "drop", warehouse
    write_lines(drop / "1.ndjson", _patient("p"), _encounter("e"))
    run_job("raw_to_bronze", JobArguments(profile.with_raw(str(drop))))
    point, times = ("published", published) if published else ("conformed", 2)
    with dying(point, times, raise_killed), pytest.raises(KilledError):
        run_job("bronze_to_silver", JobArguments(profile))
    seen = [name for name, id_ in _silver(profile).items() if id_ is not None]
    assert len(seen) == published
    run_job("bronze_to_silver", JobArguments(profile))
    assert [row["patient_id"] for row in read_rows(profile, PATIENT.identifier)] == ["p"]
    assert [row["encounter_id"] for row in read_rows(profile, ENCOUNTER.identifier)] == ["e"]
    assert run_job("bronze_to_silver", JobArguments(profile)).status == "unchanged"


def test_every_check_can_be_asked_of_its_table(warehouse: Profile) -> None:
    """Each predicate is one of the table's columns, and holds for a row of nulls but where a column must be filled."""
    with job_session(warehouse) as spark:
        for table in silver.TABLES:
            types = ", ".join(f"`{column.name}` {column.type}" for column in table.columns)
            schema = StructType.fromDDL(types)
            empty = spark.createDataFrame([tuple(None for _ in table.columns)], schema)
            (row,) = empty.selectExpr(*(f"{check.holds} AS `{check.name}`" for check in table.row_checks)).collect()
            for check in table.row_checks:
                assert row[check.name] in ((False,) if check.name.startswith("NOT_NULL_") else (None,)), check
