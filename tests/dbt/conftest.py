"""A lakehouse with a few rows of silver, on the real engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.engine.connect_server import hold_server
from airflow_lakehouse.spark.engine.session import open_session
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

sys.path.insert(0, str(Path(__file__).parent))
from silver_rows import write_rows

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def remote() -> Iterator[str]:
    """Address of the engine, held for the whole session of tests."""
    with hold_server() as server:
        yield server.remote


@pytest.fixture(scope="module")
def lakehouse(remote: str, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A warehouse with every table, and rows in those gold reads."""
    profile = Profile(warehouse=str(tmp_path_factory.mktemp("warehouse")))
    create_local_catalog(profile)
    with open_session(profile, remote) as spark:
        ensure_tables(load_pyiceberg(profile))
        write_rows(spark)
    return profile


@pytest.fixture(autouse=True)
def _no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """dbt's own variables of the developer's shell must not lead a build elsewhere."""
    for name in [name for name in os.environ if name.startswith("DBT_")]:
        monkeypatch.delenv(name)
