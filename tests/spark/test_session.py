"""Sessions of one process, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.spark.engine.session import open_session
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.spark.engine.connect_server import Server

pytestmark = pytest.mark.spark


def test_the_end_of_one_session_does_not_touch_the_next(warehouse: Profile, engine: Server) -> None:
    """Collected while another session works, a stopped one leaves the pool that both use alone: else both may hang."""
    from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator

    create_local_catalog(warehouse)
    with open_session(warehouse, engine.remote) as first:
        assert first.range(1).count() == 1
    with open_session(warehouse, engine.remote) as second:
        assert second.range(2).count() == 2
        pool = ExecutePlanResponseReattachableIterator._get_or_create_release_thread_pool()
        first.__del__()
        assert ExecutePlanResponseReattachableIterator._get_or_create_release_thread_pool() is pool
        assert second.range(3).count() == 3
