"""Where the files that ship beside the code are: job scripts, the dbt project and the example DAGs.

In a checkout they lie next to the package. In a wheel they lie inside it, under ``_assets``, because files
outside the package would land loose in ``site-packages``. Everything that needs one of them asks here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from airflow_lakehouse.exceptions import SetupError, UsageError

RESOURCES: Final = ("spark_scripts", "dbt_example", "example_dags")
"""Folders that ship with the package."""

_PACKAGE: Final = Path(__file__).resolve().parent


def resource_dir(name: str, *, package: Path = _PACKAGE) -> Path:
    """Return a folder that ships with the package, as an absolute path.

    :param name: one of :data:`RESOURCES`.
    :param package: folder of the package to look in and beside.
    :raises UsageError: when nothing of that name ships.
    :raises SetupError: when it ships but is in neither place.
    """
    if name not in RESOURCES:
        raise UsageError(f"no resource is called {name!r}", legal=", ".join(RESOURCES))
    installed, checkout = package / "_assets" / name, package.parent / name
    for candidate in (installed, checkout):
        if candidate.is_dir():
            return candidate
    raise SetupError(
        f"the folder {name!r} is neither at {installed} (installed) nor at {checkout} (checkout)",
        remedy="install the airflow-lakehouse wheel again, or work in a complete checkout",
    )
