"""The session a job works in, wherever the job was started."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.engine import jars
from airflow_lakehouse.spark.engine.connect_server import hold_server, is_elsewhere, state_dir
from airflow_lakehouse.spark.engine.session import open_session
from airflow_lakehouse.spark.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from airflow_lakehouse.profile import Profile

CLUSTER_VARIABLE: Final = "LAKEHOUSE_ON_CLUSTER"
"""Set by ``spark_scripts``: spark-submit has made the session, no server is wanted."""
STAGING_VARIABLE: Final = "LAKEHOUSE_STAGING"
"""Names another folder than the warehouse's for what runs keep twice: a URI that Spark can write, on every node."""


@contextmanager
def job_session(profile: Profile) -> Iterator[SparkSession]:
    """Open the session of a job: spark-submit's own on a cluster, else one on this machine's shared server.

    :param profile: the lakehouse.
    :raises SetupError: when this machine's engine lacks a jar that the profile's catalog needs.
    """
    if os.environ.get(CLUSTER_VARIABLE):
        with open_session(profile) as spark:
            yield spark
        return
    if profile.catalog == "glue" and not is_elsewhere():
        jars.check_aws_jar()
    with hold_server() as server, open_session(profile, server.remote) as spark:
        yield spark


def staging_root(profile: Profile) -> str:
    """Return the URI of the folder in which runs keep what they need twice, each in one of its own.

    It is below the warehouse, where every node of a cluster reaches it. Only this machine's own engine has no Hadoop
    file system for S3, and no other node that would have to read it: for a warehouse there, it is below the engine's
    state directory, which is its user's alone. :data:`STAGING_VARIABLE` names another one.

    :param profile: the lakehouse.
    """
    if named := os.environ.get(STAGING_VARIABLE):
        return named.rstrip("/")
    is_shared = os.environ.get(CLUSTER_VARIABLE) or is_elsewhere()
    if is_shared or files.local_path(profile.warehouse_uri):
        return f"{profile.warehouse_uri}/{files.STAGING}"
    return files.file_uri(state_dir() / files.STAGING)
