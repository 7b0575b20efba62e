"""Load DAG files as Airflow does, whichever Airflow it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def load_dags(folder: Path) -> dict[str, Any]:
    """Return the DAGs of a folder by their ids; a file that does not import fails the test with its error."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # before Airflow 3.2
        from airflow.models.dagbag import DagBag
    bag = DagBag(str(folder), include_examples=False)
    assert bag.import_errors == {}
    return dict(bag.dags)
