"""The session a job works in, wherever the job was started."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.connect_server import hold_server
from airflow_lakehouse.spark.session import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from airflow_lakehouse.profile import Profile

CLUSTER_VARIABLE: Final = "LAKEHOUSE_ON_CLUSTER"
"""Set by ``spark_scripts``: spark-submit has made the session, no server is wanted."""


@contextmanager
def job_session(profile: Profile) -> Iterator[SparkSession]:
    """Open the session of a job: spark-submit's own on a cluster, else one on this machine's shared server.

    :param profile: the lakehouse.
    """
    if os.environ.get(CLUSTER_VARIABLE):
        with open_session(profile) as spark:
            yield spark
        return
    with hold_server() as server, open_session(profile, server.remote) as spark:
        yield spark
