"""The Airflow plugin, for deployments that take plugins from a folder: copy this file to ``$AIRFLOW_HOME/plugins``.

An installed wheel brings the plugin through its ``airflow.plugins`` entry point; then this file is not needed, and
Airflow would report the plugin twice.
"""

from __future__ import annotations

from airflow_lakehouse.airflow_plugin import LakehousePlugin

__all__ = ["LakehousePlugin"]
