"""Fixtures of the tests that need Spark: one engine and one sample for the whole session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.cli.sample import write_sample
from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.spark.engine.connect_server import Server


@pytest.fixture(scope="session", autouse=True)
def engine(lakehouse_engine: Server) -> Server:
    """Keep the engine up from the first Spark test to the last."""
    return lakehouse_engine


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sample drop of two days without documents."""
    target = tmp_path_factory.mktemp("sample") / "raw"
    write_sample(target, patients=30, documents=0, days=2)
    return target


@pytest.fixture
def warehouse(tmp_path: Path) -> Profile:
    """Return a profile on a warehouse that does not exist yet."""
    return Profile(os.fspath(tmp_path / "warehouse"))
