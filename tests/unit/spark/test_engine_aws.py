"""What a lakehouse on AWS asks of the engine on this machine: settings, jars, and a place to stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.engine import jars
from airflow_lakehouse.spark.engine.connect_server import REMOTE_VARIABLE, STATE_VARIABLE
from airflow_lakehouse.spark.engine.job_session import CLUSTER_VARIABLE, STAGING_VARIABLE, job_session, staging_root
from airflow_lakehouse.spark.engine.session import catalog_conf
from airflow_lakehouse.spark.jobs import JobArguments
from airflow_lakehouse.spark.storage.catalog import storage_properties
from airflow_lakehouse.spark.storage.files import filesystem

if TYPE_CHECKING:
    from pathlib import Path

_CATALOG = "spark.sql.catalog.lakehouse."


def _profile(**properties: str) -> Profile:
    return Profile("s3://lake/warehouse/", catalog="glue", region="eu-west-1", catalog_properties=properties)


def test_properties_reach_spark_and_pyiceberg_alike() -> None:
    """An endpoint, a region and a key are given once; where they differ in default, PyIceberg's holds for both."""
    conf = catalog_conf(_profile(**{"s3.endpoint": "http://s3", "glue.endpoint": "http://glue", "other": "x"}))
    told = {name.removeprefix(_CATALOG): value for name, value in conf.items() if name.startswith(_CATALOG)}
    assert told["s3.endpoint"] == "http://s3"
    assert told["glue.endpoint"] == "http://glue"
    assert told["client.region"] == "eu-west-1"
    assert told["s3.path-style-access"] == "true"
    assert told["warehouse"] == "s3://lake/warehouse"
    assert "other" not in told
    virtual = _profile(**{"s3.endpoint": "http://s3", "s3.force-virtual-addressing": "true"})
    assert catalog_conf(virtual)[f"{_CATALOG}s3.path-style-access"] == "false"
    assert f"{_CATALOG}s3.path-style-access" not in catalog_conf(_profile())


def test_the_catalogs_endpoint_is_where_its_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in the warehouse is looked for at `s3.endpoint`, whatever the environment says of S3."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    properties = storage_properties(_profile(**{"s3.endpoint": "http://127.0.0.1:8"}))
    store, path = filesystem("s3://lake/warehouse/x", properties)
    assert path == "lake/warehouse/x"
    (options,) = store.__reduce__()[1]
    assert (options["region"], options["endpoint_override"]) == ("eu-west-1", "http://127.0.0.1:8")


def test_a_run_stages_where_its_engine_can(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An engine of this machine has no file system for S3 and stages beside its state; a cluster, in the warehouse."""
    for name in (CLUSTER_VARIABLE, REMOTE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    assert staging_root(_profile()) == f"file://{tmp_path}/_staging"
    assert staging_root(Profile(str(tmp_path / "w"))) == f"file://{tmp_path}/w/_staging"
    for name in (CLUSTER_VARIABLE, REMOTE_VARIABLE):
        with monkeypatch.context() as patched:
            patched.setenv(name, "sc://elsewhere")
            assert staging_root(_profile()) == "s3://lake/warehouse/_staging"
    monkeypatch.setenv(STAGING_VARIABLE, "file:///shared/staging/")
    assert staging_root(_profile()) == "file:///shared/staging"


def test_two_attempts_at_a_run_stage_apart(tmp_path: Path) -> None:
    """A zombie and its successor have one run id; neither may delete what the other has staged."""
    first, second = (JobArguments(Profile(str(tmp_path)), run_id="scheduled") for _ in range(2))
    assert first.staging_area != second.staging_area
    assert first.staging_area == first.staging_area
    assert first == second


def test_the_missing_jar_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Amazon's client a Glue catalog is refused before an engine starts, with the command that brings it."""
    for artifact in jars.needed_jars(jars.installed_spark_version()):
        (tmp_path / artifact.file_name).touch()
    monkeypatch.setenv(jars.JARS_VARIABLE, str(tmp_path))
    with pytest.raises(SetupError, match="fetch-jars --aws"), job_session(_profile()):
        pytest.fail("a session was opened")
    aws = jars.aws_jar(jars.installed_spark_version())
    assert aws.version == jars.needed_jars(jars.installed_spark_version())[0].version
    (tmp_path / aws.file_name).touch()
    assert [path.name for path in jars.engine_jars()][-1] == aws.file_name
