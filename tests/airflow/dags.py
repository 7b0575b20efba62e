"""Load DAG files as Airflow does, whichever Airflow it is."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def load_dags(folder: Path) -> dict[str, Any]:
    """Return the DAGs of a folder by their ids; a file that does not import fails the test with its error."""
    try:
        dagbag = import_module("airflow.dag_processing.dagbag")
    except ImportError:  # before Airflow 3.2
        dagbag = import_module("airflow.models.dagbag")
    bag = dagbag.DagBag(str(folder))
    assert bag.import_errors == {}
    return dict(bag.dags)
