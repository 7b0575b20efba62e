"""The environment variables dbt is started with, by one build and by Airflow's tasks alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.dbt.edition import TODAY
from airflow_lakehouse.spark.engine.session import SNAPSHOT_PROPERTY, catalog_conf, sql_conf

if TYPE_CHECKING:
    from airflow_lakehouse.dbt.edition import Edition
    from airflow_lakehouse.profile import Profile

_QUIET: Final = {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
    "DBT_VERSION_CHECK": "false",
    "DBT_USE_COLORS": "false",
    # Airflow's path would put its own packages before those of the managed environment.
    "PYTHONPATH": "",
    # Unit tests check the models' code with made-up rows. They belong to a release, not to every night's run.
    "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test",
}
_SESSION: Final = {
    # An overwrite replaces the whole table, whatever the server's default is.
    "spark.sql.sources.partitionOverwriteMode": "STATIC",
    # dbt prints an error as it gets it; two hundred lines of JVM frames hide the one that matters.
    "spark.sql.pyspark.jvmStacktrace.enabled": "false",
    "spark.sql.connect.serverStacktrace.enabled": "false",
}


def dbt_environ(  # noqa: PLR0913 - each is a choice of the caller, by name, with a default
    profile: Profile,
    *,
    remote: str,
    run_id: str,
    branch: str | None = None,
    unit_tests: bool = False,
    edition: Edition = TODAY,
) -> dict[str, str]:
    """Return what ``profiles.yml`` and dbt read from the environment. It holds the server's token: never log it.

    :param profile: the lakehouse.
    :param remote: address of a Spark Connect server.
    :param run_id: run that is written into the snapshots dbt commits.
    :param branch: Iceberg branch that tables with ``write.wap.enabled`` are written to and tested on.
    :param unit_tests: also run the models' unit tests.
    :param edition: which gold is built.
    """
    conf = {**sql_conf(), **catalog_conf(profile), **_SESSION, f"{SNAPSHOT_PROPERTY}lakehouse.run-id": run_id}
    if branch:
        conf["spark.wap.branch"] = branch
    environ = {
        **_QUIET,
        **edition.environ(),
        "LAKEHOUSE_SPARK_REMOTE": remote,
        "LAKEHOUSE_SPARK_CONF": json.dumps(conf, sort_keys=True),
    }
    if unit_tests:
        environ["DBT_EXCLUDE_RESOURCE_TYPES"] = ""
    return environ
