"""Silver made anew: all of it, or what a day, a range of days or a source system names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from pyiceberg.expressions import AlwaysTrue

from airflow_lakehouse.cli import main
from airflow_lakehouse.cli.pipeline import Request, run_pipeline
from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import InputError, ReconciliationError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze.scope import Scope
from airflow_lakehouse.spark.engine.job_session import job_session
from airflow_lakehouse.spark.jobs import JobArguments, JobResult, run_job
from airflow_lakehouse.spark.silver import conform
from airflow_lakehouse.spark.silver.work import Work
from airflow_lakehouse.spark.storage.catalog import get_table, load_pyiceberg
from airflow_lakehouse.tables import bronze, silver
from tests.spark.helpers import load, silver_content, snapshots, write_lines
from tests.spark.test_attachments import inline, pdf, reference

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.spark
PATIENT, OBSERVATION = silver.PATIENT.identifier, silver.OBSERVATION.identifier


def _versioned(number: int) -> dict[str, Any]:
    return {"meta": {"versionId": str(number), "lastUpdated": f"2026-01-{number:02d}T00:00:00Z"}}


def _patient(id_: str, version: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "gender": "male", **_versioned(version), **more}


def _observation(id_: str, version: int, **more: Any) -> dict[str, Any]:
    """Return an observation with a component; all of them share one key."""
    return {
        "resourceType": "Observation",
        "id": id_,
        **_versioned(version),
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2026-01-01T10:00:00Z",
        "code": {"text": "pressure"},
        "component": [{"code": {"text": f"part of {id_}"}}],
        **more,
    }


@pytest.fixture(scope="module")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a drop of two days and two senders; the second day has a newer version of p and a rival of a."""
    drop = tmp_path_factory.mktemp("backfill") / "drop"
    fhir = drop / "fhir"
    condition = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"}, "code": {"text": "x"}}
    write_lines(fhir / "dt=2026-01-01/1.ndjson", _patient("p", 1), _patient("q", 1), _observation("a", 1), condition)
    newer = _patient("p", 2, gender="female")
    write_lines(fhir / "dt=2026-01-02/2.ndjson", newer, _patient("r", 1), _observation("b", 2))
    write_lines(fhir / "source=north/dt=2026-01-02/3.ndjson", _patient("p", 1))
    return drop


@pytest.fixture(scope="module")
def lakehouse(drop: Path, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """Return a lakehouse with that drop; every test leaves it whole."""
    profile = Profile(str(tmp_path_factory.mktemp("lakehouse") / "warehouse"), raw=str(drop), ocr="none")
    load(profile, drop)
    return profile


def _again(profile: Profile, **scope: Any) -> JobResult:
    return run_job("bronze_to_silver", JobArguments(profile, full=True, **scope))


def _alter(profile: Profile, table: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change rows of a table by hand."""
    found = get_table(load_pyiceberg(profile), table)
    rows = found.scan().to_arrow()
    found.overwrite(rows.from_pylist([change(row) for row in rows.to_pylist()], rows.schema), AlwaysTrue())


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["source_system"], row["patient_id"]


def test_a_full_run_restores_silver_from_bronze(lakehouse: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows deleted, changed, added and a table dropped: all is as it was; done again, nothing is committed."""
    before = silver_content(lakehouse, without=())
    catalog = load_pyiceberg(lakehouse)
    get_table(catalog, PATIENT).delete("patient_id == 'q'")
    _alter(lakehouse, PATIENT, lambda row: row | {"city": "Nowhere", "flags": ["BAD_FIELD"]})
    one = get_table(catalog, PATIENT).scan(limit=1).to_arrow()
    foreign = [row | {"patient_id": "nobody"} for row in one.to_pylist()]
    get_table(catalog, PATIENT).append(one.from_pylist(foreign, one.schema))
    get_table(catalog, OBSERVATION).delete("parent_observation_id == 'b'")
    twice = get_table(catalog, silver.COLLISIONS.identifier)
    twice.append(twice.scan().to_arrow())
    catalog.drop_table("silver.silver_fct_condition")

    command = ["run", "--full", "--warehouse", lakehouse.warehouse, "--through", "silver"]
    assert main(command) == 0
    assert silver_content(lakehouse, without=()) == before
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == {"found": 0, "loaded": 0, "skipped": 0, "quarantined": 0}
    people, ill = (len(before[name]) for name in ("silver_dim_patient", "silver_fct_condition"))
    changed = {"rows": people, "added": 1, "updated": people - 1, "deleted": 1}
    assert told["tables"]["silver_dim_patient"] == changed
    assert told["tables"]["silver_fct_condition"] == {"rows": ill, "added": ill, "updated": 0, "deleted": 0}

    at = snapshots(lakehouse)
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False
    assert snapshots(lakehouse) == at
    assert load(lakehouse, Path(lakehouse.raw or ""))[1].status == "unchanged"


_STEPS: list[tuple[dict[str, str], set[tuple[str, str]]]] = [
    ({"dt": "2026-01-02", "source_system": "north"}, {("north", "p")}),
    ({"dt": "2025-12-30..2026-01-01"}, {("default", "p"), ("default", "q")}),
    ({"dt": "2026-01-02"}, {("default", "r")}),
]


@pytest.mark.thorough
def test_a_part_of_bronze_names_what_is_mended(lakehouse: Profile) -> None:
    """Every key these rows name is made from all its rows, also newer ones of other days; no other key is touched."""
    before = {_key(row): row for row in read_rows(lakehouse, PATIENT)}
    _alter(lakehouse, PATIENT, lambda row: row | {"city": "Nowhere", "gender": "male"})
    mended: set[tuple[str, str]] = set()
    for scope, more in _STEPS:
        assert _again(lakehouse, **scope).tables["silver_dim_patient"]["updated"] == len(more)
        mended |= more
        now = {_key(row): row for row in read_rows(lakehouse, PATIENT)}
        assert {key for key, row in now.items() if row["city"] is None} == mended
        assert {key: now[key] for key in mended} == {key: before[key] for key in mended}
    _again(lakehouse, source_system="default")
    assert {_key(row): row for row in read_rows(lakehouse, PATIENT)} == before
    at = snapshots(lakehouse)
    assert _again(lakehouse, dt="2026-01-01..").status == "unchanged"
    assert snapshots(lakehouse) == at


@pytest.mark.thorough
def test_collisions_and_components_of_a_day_come_back(lakehouse: Profile) -> None:
    """What holds a key, what lost it and the parts of both are made anew, though the rival came on another day."""
    before = silver_content(lakehouse, without=())
    get_table(load_pyiceberg(lakehouse), OBSERVATION).delete("observation_id == 'b' or parent_observation_id == 'a'")
    get_table(load_pyiceberg(lakehouse), silver.COLLISIONS.identifier).delete(AlwaysTrue())
    with pytest.raises(ReconciliationError, match="--full"):
        load(lakehouse, Path(lakehouse.raw or ""))
    _again(lakehouse, dt="2026-01-01")
    assert silver_content(lakehouse, without=()) == before
    get_table(load_pyiceberg(lakehouse), PATIENT).delete("patient_id == 'r'")
    with pytest.raises(ReconciliationError, match=r"silver_dim_patient: \d made, \d stored"):
        _again(lakehouse, dt="2026-01-01")
    _again(lakehouse, dt="2026-01-02")
    assert silver_content(lakehouse, without=()) == before


def test_a_part_with_nothing_in_it_is_said(lakehouse: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    """Days without a row, and a sender who sent nothing then, are refused, exit 2; nothing is committed."""
    at = snapshots(lakehouse)
    with pytest.raises(InputError, match=r"no row of dt='2026-01-01' and source_system='north'"):
        _again(lakehouse, dt="2026-01-01", source_system="north")
    command = ["run", "--full", "--warehouse", lakehouse.warehouse, "--dt"]
    assert main([*command, "2026-02-01..2026-02-28"]) == 2
    assert "no row of dt='2026-02-01..2026-02-28'" in capsys.readouterr().err
    assert main([*command, "2026-02"]) == 2
    assert "FIRST..LAST" in capsys.readouterr().err
    assert snapshots(lakehouse) == at


@pytest.mark.thorough
def test_what_is_new_is_not_hidden(lakehouse: Profile, drop: Path) -> None:
    """Bronze has more than silver has seen when a day is made anew: it is in silver then, and no run looks again."""
    conditions = read_rows(lakehouse, "silver_fct_condition")
    write_lines(drop / "fhir/dt=2026-01-03/4.ndjson", _patient("p", 3, gender="other"), _patient("s", 1))
    run_job("raw_to_bronze", JobArguments(lakehouse))
    _alter(lakehouse, PATIENT, lambda row: row | {"city": "Nowhere"})
    load_pyiceberg(lakehouse).drop_table("silver.silver_fct_condition")
    _again(lakehouse, dt="2026-01-01")
    genders = {row["patient_id"]: row["gender"] for row in read_rows(lakehouse, PATIENT) if row["city"] is None}
    assert genders == {"p": "other", "q": "male", "s": "male"}
    # A table without a watermark is made whole: a part of it could not say what it has seen.
    assert len(read_rows(lakehouse, "silver_fct_condition")) == len(conditions)
    assert run_job("bronze_to_silver", JobArguments(lakehouse)).status == "unchanged"
    _again(lakehouse)


@pytest.mark.thorough
def test_flags_follow_what_comes_back(lakehouse: Profile, drop: Path) -> None:
    """A fact that was looked at while its patient was gone loses its flag with the day the patient came on."""
    get_table(load_pyiceberg(lakehouse), PATIENT).delete("patient_id == 'q'")
    late = {"resourceType": "Condition", "id": "d", "subject": {"reference": "Patient/q"}, "code": {"text": "y"}}
    write_lines(drop / "fhir/dt=2026-01-04/5.ndjson", late)
    load(lakehouse, drop)
    flags = {row["condition_id"]: row["flags"] for row in read_rows(lakehouse, "silver_fct_condition")}
    assert flags == {"c": [], "d": ["ORPHAN_PATIENT"]}
    _again(lakehouse, dt="2026-01-01")
    assert [row["flags"] for row in read_rows(lakehouse, "silver_fct_condition")] == [[], []]


@pytest.mark.thorough
def test_documents_of_a_day_come_back(lakehouse: Profile, drop: Path) -> None:
    """Blocks of documents that came as files on these days, and in records on these days, by sender."""
    for day in (1, 2):
        (drop / f"docs/dt=2026-01-{day:02d}").mkdir(parents=True)
        (drop / f"docs/dt=2026-01-{day:02d}/letter.pdf").write_bytes(pdf(f"Letter of day {day}"))
    write_lines(drop / "fhir/source=north/dt=2026-01-02/4.ndjson", reference("d", "p", inline(pdf("In a record"))))
    run_pipeline(Request(lakehouse, through="silver"))
    before = silver_content(lakehouse, without=())

    def damaged() -> set[str]:
        rows = read_rows(lakehouse, silver.DOC_BLOCKS.identifier)
        return {row["text"] for row in rows if row["engine_version"] == "none" and row["block_type"] == "LINE"}

    _alter(lakehouse, silver.DOC_BLOCKS.identifier, lambda row: row | {"engine_version": "none"})
    _again(lakehouse, dt="2026-01-01")
    assert damaged() == {"Letter of day 2", "In a record"}
    _again(lakehouse, source_system="north")
    assert damaged() == {"Letter of day 2"}
    _again(lakehouse, dt="..2026-01-02")
    assert silver_content(lakehouse, without=()) == before


def test_only_files_of_these_days_are_opened(warehouse: Profile, tmp_path: Path) -> None:
    """The days are literals in the scan of bronze: with all files of another day gone, these rows can still be read."""
    for day, names in ((1, "p"), (2, "pr")):
        write_lines(tmp_path / f"drop/dt=2026-01-{day:02d}/1.ndjson", *(_patient(name, day) for name in names))
    lakehouse = warehouse.with_raw(str(tmp_path / "drop"))
    run_job("raw_to_bronze", JobArguments(lakehouse))
    found = get_table(load_pyiceberg(lakehouse), bronze.PATIENT.identifier)
    for task in found.scan("dt = '2026-01-01'").plan_files():
        Path(urlsplit(task.file.file_path).path).unlink()
    with job_session(lakehouse) as spark:
        work = Work(spark, load_pyiceberg(lakehouse), "", again=Scope("2026-01-02..2026-01-31", "default"))
        named = conform.affected(work, bronze.PATIENT, work.bronze, work.bronze)
        assert named is not None
        assert {row["resource_id"] for row in named.collect()} == {"p", "r"}
        every = replace(work, again=Scope(source_system="default"))
        named = conform.affected(every, bronze.PATIENT, work.bronze, work.bronze)
        assert named is not None
        with pytest.raises(Exception, match=r"2026-01-01"):
            named.collect()
