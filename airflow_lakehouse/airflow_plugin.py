"""The Airflow plugin. It only names itself for now; pages of its own come later."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class LakehousePlugin(AirflowPlugin):
    """Registered through the ``airflow.plugins`` entry point, and nowhere else: twice would load it twice."""

    name = "lakehouse"
