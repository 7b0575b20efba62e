"""Raw drops become governed Apache Iceberg tables, from inside an Airflow that already exists.

Importing this package imports nothing but the standard library. Airflow 3.2 and newer import every
provider while Airflow's own configuration is still loading: an ``import airflow`` here would crash
the worker. Public names are therefore resolved on first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_lakehouse.exceptions import LakehouseError
    from airflow_lakehouse.parsing import Parser, Rejected, Row, SourceFile, hookimpl
    from airflow_lakehouse.profile import Profile

__version__ = "0.1.0"

_LAZY_NAMES = {
    "LakehouseError": "airflow_lakehouse.exceptions",
    "Parser": "airflow_lakehouse.parsing",
    "Profile": "airflow_lakehouse.profile",
    "Rejected": "airflow_lakehouse.parsing",
    "Row": "airflow_lakehouse.parsing",
    "SourceFile": "airflow_lakehouse.parsing",
    "hookimpl": "airflow_lakehouse.parsing",
}

__all__ = [
    "LakehouseError",
    "Parser",
    "Profile",
    "Rejected",
    "Row",
    "SourceFile",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    """Import the module behind a public name when the name is first used."""
    if name not in _LAZY_NAMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(_LAZY_NAMES[name]), name)
