"""What dbt is told through its environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_lakehouse.dbt.invocation import dbt_environ
from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    from pathlib import Path


def test_session_gets_catalog_run_and_no_telemetry(tmp_path: Path) -> None:
    """The catalog comes with the session, snapshots carry the run, and dbt reports nothing to anybody."""
    environ = dbt_environ(Profile(warehouse=str(tmp_path)), remote="sc://h:1", run_id="r1")
    conf = json.loads(environ["LAKEHOUSE_SPARK_CONF"])
    assert conf["spark.sql.defaultCatalog"] == "lakehouse"
    assert conf["spark.sql.iceberg.snapshot-property.lakehouse.run-id"] == "r1"
    assert conf["spark.sql.session.timeZone"] == "UTC"
    assert "spark.wap.branch" not in conf
    assert environ["LAKEHOUSE_SPARK_REMOTE"] == "sc://h:1"
    assert environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] == "false"


def test_a_branch_reaches_models_and_tests(tmp_path: Path) -> None:
    """The branch is a setting of the session: a hook in a model would not reach the tests."""
    environ = dbt_environ(Profile(warehouse=str(tmp_path)), remote="sc://h:1", run_id="r1", branch="audit_r1")
    assert json.loads(environ["LAKEHOUSE_SPARK_CONF"])["spark.wap.branch"] == "audit_r1"
