"""The same jobs with tables in S3 and a Glue catalog, which locks optimistically, before faults of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import LakehouseError, TableLostError
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.iceberg import load
from airflow_lakehouse.spark.jobs import JobArguments, run_job
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.maintenance.survey import warehouse_health
from airflow_lakehouse.spark.restore import restore
from airflow_lakehouse.spark.storage.catalog import get_table, load_pyiceberg
from airflow_lakehouse.testing.reference import ReferenceLakehouse, compare, read_drop
from airflow_lakehouse.testing.s3_faults import EXPIRED, LOST, OUTRUN, THROTTLED
from tests.faults.dying import run_and_die
from tests.faults.helpers import (
    NOTHING,
    SPARK,
    VERSITYGW,
    commits,
    load_and_compare,
    observation,
    patient,
    to_bronze,
    to_silver,
    version,
)
from tests.faults.meeting import both, conflicts_met, meeting

if TYPE_CHECKING:
    from tests.faults.conftest import AwsLakehouse

pytestmark = SPARK[:1]
_PATIENTS = "bronze.bronze_fhir_patient"
_JOBS = {"bronze": to_bronze, "silver": to_silver}
_BOTH = ("bronze", "silver")
_FILLED = [f"bronze.bronze_{name}" for name in ("fhir_patient", "fhir_observation", "quarantine")]
ON_BOTH = pytest.mark.parametrize("aws", [pytest.param("", id="ministack"), VERSITYGW], indirect=True)


def _two_files(aws: AwsLakehouse) -> None:
    """Put a drop there that fills three tables."""
    aws.drop("fhir/dt=2026-01-15/1.ndjson", patient("p"), patient("q"), b'{"resourceType": "Patient"')
    aws.drop("fhir/dt=2026-01-15/2.ndjson", observation("o"), observation("o2", hour=11))


def _to_green(aws: AwsLakehouse, tries: int = 1, *layers: str) -> int:
    """Run the jobs of the layers, each so many times at most until it succeeds, and compare; return how many failed.

    In the end the faults are over: a run then does what is left, and one more finds nothing to do.
    """
    layers, failed = layers or ("bronze",), 0
    for layer in layers:
        for _ in range(tries):
            try:
                _JOBS[layer](aws.profile)
                break
            except LakehouseError as error:
                print(f"{layer} failed: {error} because of {error.__cause__!r}")  # noqa: T201 - told where a test fails
                failed += 1
    aws.s3.stop()
    aws.glue.stop()
    for layer in layers if failed else ():
        _JOBS[layer](aws.profile)
    assert {_JOBS[layer](aws.profile).status for layer in layers} == {"unchanged"}
    expected = ReferenceLakehouse()
    expected.run(read_drop(aws.profile.raw or ""))
    assert compare(aws.profile, expected, layers) == NOTHING
    return failed


@ON_BOTH
def test_the_jobs_run_end_to_end(aws: AwsLakehouse) -> None:
    """Raw to silver in S3 and Glue; files are overwritten and come; nothing staged is left; then maintenance."""
    expected = ReferenceLakehouse()
    _two_files(aws)
    load_and_compare(aws.profile, expected)
    aws.drop("fhir/dt=2026-01-15/1.ndjson", patient("p", gender="male", **version(2)))
    aws.drop("fhir/source=north/dt=2026-01-16/3.ndjson", patient("p"), observation("o3"))
    load_and_compare(aws.profile, expected)
    assert (to_bronze(aws.profile).status, to_silver(aws.profile).status) == ("unchanged", "unchanged")
    assert not aws.keys("warehouse/_staging")

    policy = MaintenancePolicy(min_input_files=2, snapshot_days=0, keep_snapshots=1, min_expired=1)
    maintained = run_job("maintain", JobArguments(aws.profile, policy=policy))
    assert {step["action"] for step in maintained.steps} >= {"rewrite_data_files"}
    assert compare(aws.profile, expected) == NOTHING
    stored = {health.identifier: health.orphans for health in warehouse_health(load_pyiceberg(aws.profile), 1.0)}
    assert all(orphans is not None and orphans.stored_files > 0 for orphans in stored.values())


@pytest.mark.thorough
def test_two_runs_over_the_same_files(aws: AwsLakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows 5, 6 and 10, on Glue: its lock lets one commit; the other finds the rows there. Silver likewise."""
    counted = conflicts_met(monkeypatch)
    _two_files(aws)
    with meeting("insert_new", monkeypatch):
        loaded = both(lambda: to_bronze(aws.profile), lambda: to_bronze(aws.profile))
    assert counted, "the two did not meet"
    assert {result.status for result in loaded} == {"complete"}
    assert [added for added, _ in commits(aws.profile, _PATIENTS) if added] == [2]
    counted.clear()
    with meeting("head", monkeypatch):
        both(lambda: to_silver(aws.profile), lambda: to_silver(aws.profile))
    assert counted, "the two did not meet"
    assert _to_green(aws, 1, *_BOTH) == 0


@pytest.mark.thorough
def test_two_runs_over_different_days(aws: AwsLakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows 7 and 29, on Glue: of two days at once each changes its own partition; the lock only orders the commits."""
    counted = conflicts_met(monkeypatch)
    for day in (1, 2):
        aws.drop(f"fhir/dt=2026-01-0{day}/1.ndjson", *(patient(f"{day}-{number}") for number in range(5)))
    with meeting("insert_new", monkeypatch):
        both(
            lambda: to_bronze(aws.profile, dt="2026-01-01", run_id="backfill"),
            lambda: to_bronze(aws.profile, dt="2026-01-02", run_id="daily"),
        )
    assert not [error for error in counted if "ValidationException" in f"{type(error).__name__} {error}"]
    assert sorted(commits(aws.profile, _PATIENTS)) == [(5, "backfill"), (5, "daily")]
    assert _to_green(aws) == 0


@pytest.mark.parametrize(("point", "row"), [("merged", 2), pytest.param("counted", 3, marks=pytest.mark.thorough)])
def test_a_killed_load_is_not_done_twice(aws: AwsLakehouse, point: str, row: int) -> None:
    """Rows 2 and 3, on Glue: SIGKILL after a commit, or before the ledger: each table is filled once."""
    _two_files(aws)
    run_and_die("raw_to_bronze", aws.profile, point)
    states = {entry["state"] for entry in read_rows(aws.profile, "ops.ingested_files")}
    assert states == {"discovered"}, f"row {row}: the kill came before the ledger was written"
    before = {table: commits(aws.profile, table) for table in _FILLED}
    assert any(before.values())
    assert _to_green(aws) == 0
    after = {table: commits(aws.profile, table) for table in _FILLED}
    assert all(len(after[table]) == 1 for table in _FILLED), "a table was committed to by both starts"
    assert all(after[table] == before[table] for table in _FILLED if before[table])


@pytest.mark.thorough
@pytest.mark.parametrize(("probability", "layers"), [(0.1, _BOTH), (0.3, ("bronze",))])
def test_throttling(aws: AwsLakehouse, probability: float, layers: tuple[str, ...]) -> None:
    """Row 11: one request in ten to S3 and Glue is refused, and each job comes through at once; one in three.

    Of one in three a load may fail: as an error of ours, and what it has done holds. It takes minutes, for Iceberg's
    client for Glue sends less and less to who refuses; so the tables are there before.
    """
    _two_files(aws)
    ensure_tables(load_pyiceberg(aws.profile))
    aws.s3.throttle(probability)
    aws.glue.throttle(probability)
    failed = _to_green(aws, 1, *layers)
    assert probability > 0.1 or not failed
    assert aws.s3.counts[THROTTLED] > 0
    assert aws.glue.counts[THROTTLED] > 0


_WRITTEN = {
    "data": r"[.]parquet$",
    "manifest": r"-m0[.]avro$",
    "list": r"snap-.*[.]avro$",
    "metadata": r"metadata[.]json$",
}


@pytest.mark.thorough
@ON_BOTH
def test_lost_answers_of_s3(aws: AwsLakehouse) -> None:
    """Row 12: of each kind of file Iceberg writes, three are written and the answer is lost: nothing lost or doubled.

    No file of a committed snapshot is deleted, either: all of silver and bronze can be read.
    """
    _two_files(aws)
    for keys in _WRITTEN.values():
        aws.s3.lose_responses(times=3, methods=["PUT", "POST"], keys=keys)
    _to_green(aws, 4, *_BOTH)
    assert aws.s3.counts[LOST] == 3 * len(_WRITTEN)


@pytest.mark.thorough
def test_lost_answers_of_the_catalog(aws: AwsLakehouse) -> None:
    """Row 13: every second commit is done and Glue's answer to it lost; whoever asks again finds it done."""
    _two_files(aws)
    aws.glue.lose_responses(0.5, keys="[.](Update|Create)Table$")
    _to_green(aws, 4, *_BOTH)
    assert aws.glue.counts[LOST] > 3


@pytest.mark.thorough
@pytest.mark.parametrize("operations", ["[.]UpdateTable$", ""], ids=["commits alone", "everything"])
@pytest.mark.parametrize("times", [2, 12])
def test_a_lost_answer_and_then_refusals(
    aws: AwsLakehouse, monkeypatch: pytest.MonkeyPatch, operations: str, times: int
) -> None:
    """Row 13: Spark's commit is done, Glue's answer lost, and asked again it refuses: no table loses its metadata."""
    _two_files(aws)
    to_bronze(aws.profile)
    aws.drop("fhir/dt=2026-01-16/3.ndjson", patient("r"), observation("o3"))
    original = load.insert_new

    def insert_new(*args: Any, **kwargs: Any) -> None:
        if not aws.glue.counts[LOST]:
            aws.glue.throttle(times=times, after=LOST, keys=operations)
            aws.glue.lose_responses(times=1, keys="[.]UpdateTable$")
        original(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(load, "insert_new", insert_new)
        _to_green(aws, 2)
    assert aws.glue.counts[LOST] == 1
    assert aws.glue.counts[THROTTLED] > 0


@pytest.mark.thorough
def test_commits_that_others_are_faster_than(aws: AwsLakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 14: Glue refuses a commit three times because another came first; it is made on top, once.

    Refused without end, the run fails with an error of ours, and the next one does what is left.
    """
    _two_files(aws)
    aws.glue.outrun()
    with pytest.raises(LakehouseError, match="run it again"):
        to_bronze(aws.profile)
    aws.glue.stop()
    original = load.insert_new

    def insert_new(*args: Any, **kwargs: Any) -> None:
        aws.glue.outrun(times=3)
        original(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(load, "insert_new", insert_new)
        to_bronze(aws.profile)
    assert aws.glue.counts[OUTRUN] > 9
    assert [len(commits(aws.profile, table)) for table in _FILLED] == [1, 1, 1]
    assert _to_green(aws) == 0


@pytest.mark.thorough
def test_credentials_that_expire_during_a_load(aws: AwsLakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 33: the token is over when the second table is written: the run fails, and the next one does the rest."""
    _two_files(aws)
    original, calls = load.insert_new, list[None]()

    def insert_new(*args: Any, **kwargs: Any) -> None:
        if calls:
            aws.s3.expire_token(methods=["PUT"])
        calls.append(None)
        original(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(load, "insert_new", insert_new)
        with pytest.raises(LakehouseError):
            to_bronze(aws.profile)
    assert aws.s3.counts[EXPIRED] > 0
    aws.s3.stop()
    assert get_table(load_pyiceberg(aws.profile), _PATIENTS).current_snapshot() is not None
    assert _to_green(aws) == 0


@pytest.mark.thorough
def test_lost_metadata_is_put_back(aws: AwsLakehouse) -> None:
    """Row 36, on Glue: the object its catalog names is deleted; the table is as before its last commit, and goes on."""
    catalog = load_pyiceberg(aws.profile)
    catalog.create_namespace("gold")
    table = catalog.create_table("gold.t", pa.schema([("id", pa.int64())]))
    for number in (1, 2):
        table.append(pa.table({"id": pa.array([number], pa.int64())}))
    key = table.metadata_location.removeprefix(f"s3://{aws.bucket}/")
    boto3.client("s3").delete_object(Bucket=aws.bucket, Key=key)
    with pytest.raises(TableLostError, match=r"gold[.]t"):
        get_table(load_pyiceberg(aws.profile), "gold.t")
    assert [lost.name for lost in restore(aws.profile)] == ["gold.t"]
    found = get_table(load_pyiceberg(aws.profile), "gold.t")
    found.append(pa.table({"id": pa.array([3], pa.int64())}))
    assert sorted(found.scan().to_arrow()["id"].to_pylist()) == [1, 3]
