"""The pipeline's own job on the fakes: the bundle under spark-submit, with a parser nobody installed there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.hooks.spark import EmrServerlessRunner, GlueRunner, JobState, runner_of
from airflow_lakehouse.profile import Profile
from tests.airflow.runners.conftest import ROLE, lead, until

if TYPE_CHECKING:
    from airflow_lakehouse.hooks.spark import SparkRunner
    from airflow_lakehouse.testing.fake_emr_serverless import FakeEmrServerless
    from airflow_lakehouse.testing.fake_glue_jobs import FakeGlueJobs
    from tests.airflow.runners.conftest import World

DROPIN = Path(__file__).parents[3] / "plugins" / "csv_dropin.py"
PATIENT = '{"resourceType": "Patient", "id": "p1", "meta": {"lastUpdated": "2026-01-15T10:00:00Z"}, "gender": "female"}'


def _profile(folder: Path, runner: str, scripts: str, options: dict[str, str]) -> Profile:
    day = folder / "raw" / "fhir" / "dt=2026-01-15"
    day.mkdir(parents=True)
    (day / "1.ndjson").write_text(f"{PATIENT}\nnot JSON at all\n")
    (day / "wards.txt").write_text("ward;bed;patient\nA;1;p1\n")
    return Profile(
        str(folder / "warehouse"),
        raw=str(folder / "raw"),
        parsers=(str(DROPIN),),
        runner=runner,
        runner_options=options,
        scripts=scripts,
        region="us-east-1",
    )


def _load(profile: Profile, runner: SparkRunner) -> None:
    """Load bronze twice: all is there, by the bundle's parsers, and the second run finds nothing to do."""
    given = {"profile": profile.as_dict(), "run_id": "run-1"}
    handle = runner.submit("raw_to_bronze", given, "ab" * 32)
    until(lambda: not runner.status(handle).is_active, 240)
    status = runner.status(handle)
    assert status.state is JobState.SUCCEEDED, status
    result = runner.result(handle)
    assert result["records"] == {"read": 3, "bronze": 2, "quarantine": 1}
    assert all(value >= 0 for value in result["resources"].values())
    assert {row["resource_id"] for row in read_rows(profile, "bronze_fhir_patient")} == {"p1"}
    assert len(read_rows(profile, "bronze_csv_ward_list")) == 1
    assert runner.follow_logs(handle, 0)[0]


@pytest.mark.parametrize("world", ["emr_serverless", "glue"], indirect=True)
def test_a_job_says_through_s3_what_was_wrong(world: World, tmp_path: Path) -> None:
    """The real script and job out of the bundle, where they end before they need Spark: the drop is empty."""
    (tmp_path / "raw").mkdir()
    runner: SparkRunner = replace(world.runner, entry_point="")  # type: ignore[type-var]
    profile = Profile(str(tmp_path / "warehouse"), raw=str(tmp_path / "raw"), parsers=(str(DROPIN),))
    handle = runner.submit("raw_to_bronze", {"profile": profile.as_dict(), "run_id": "run-1"}, "cd" * 32)
    until(lambda: not runner.status(handle).is_active, 60)
    status = runner.status(handle)
    assert (status.state, status.error_type) == (JobState.FAILED, "InputError"), status
    assert str(tmp_path / "raw") in status.reason
    lines, _ = runner.follow_logs(handle, 0)
    assert any("InputError" in line for line in lines)


@pytest.mark.spark
def test_bronze_is_loaded_on_emr_serverless(
    fake_emr_serverless: FakeEmrServerless, s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection names the application, and the job runs there with what the bundle brings."""
    scripts = lead(monkeypatch, {"S3": s3_server, "EMR_SERVERLESS": fake_emr_serverless.endpoint})
    options = {"application_id": fake_emr_serverless.application_id, "execution_role_arn": ROLE}
    profile = _profile(tmp_path, "emr_serverless", scripts, options)
    runner = runner_of(profile)
    assert isinstance(runner, EmrServerlessRunner)
    _load(profile, runner)


@pytest.mark.spark
@pytest.mark.thorough
def test_bronze_is_loaded_on_glue(
    fake_glue_jobs: FakeGlueJobs, s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same profile but for the runner's options."""
    endpoint = fake_glue_jobs.endpoint
    scripts = lead(monkeypatch, {"S3": s3_server, "GLUE": endpoint, "CLOUDWATCH_LOGS": endpoint})
    profile = _profile(tmp_path, "glue", scripts, {"role_arn": ROLE})
    runner = runner_of(profile)
    assert isinstance(runner, GlueRunner)
    _load(profile, runner)
