"""What every test shares: an Airflow home of its own, set before anything imports Airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from importlib.metadata import version

import pytest

# Airflow reads its home when it is imported, and writes a configuration there: never into the user's own.
_HOME = tempfile.mkdtemp(prefix="lakehouse-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        "DO_NOT_TRACK": "1",
    }
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what makes a local catalog where there can be none: PyIceberg's needs SQLAlchemy 2, Airflow 2.11 has 1.4."""
    if not version("sqlalchemy").startswith("1."):
        return
    old = pytest.mark.skip(reason="a local catalog needs SQLAlchemy 2; this Airflow brings 1.4")
    for item in items:
        if hasattr(getattr(item, "module", None), "create_local_catalog"):
            item.add_marker(old)
