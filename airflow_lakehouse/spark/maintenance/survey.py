"""Every table of a warehouse looked at: its state, and what is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_lakehouse.exceptions import TableNotFoundError
from airflow_lakehouse.spark.catalog import table_identifiers
from airflow_lakehouse.spark.maintenance.health import TableHealth, health_of
from airflow_lakehouse.spark.maintenance.history import history_of, needed_by_consumers
from airflow_lakehouse.spark.maintenance.plan import Step, plan_table
from airflow_lakehouse.spark.maintenance.storage import orphans_of

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable

    from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy


@dataclass(frozen=True, slots=True)
class Finding:
    """One table.

    :param health: its state.
    :param steps: what is due, in order.
    """

    health: TableHealth
    steps: tuple[Step, ...]


def warehouse_health(catalog: Catalog, orphan_days: float | None = None) -> list[TableHealth]:
    """Return the state of every table, in the order of the layers.

    :param catalog: the catalog.
    :param orphan_days: age from which a file that nothing names is an orphan; None to list no storage.
    """
    tables = _load(catalog)
    return [_health(table, tables, orphan_days) for table in tables.values()]


def survey(catalog: Catalog, policy: MaintenancePolicy) -> list[Finding]:
    """Return state and due steps of the tables a policy is about. Metadata is read, and nothing is started.

    :param catalog: the catalog.
    :param policy: which tables, and the thresholds.
    :raises TableNotFoundError: when the policy names a table that is not there.
    """
    tables = _load(catalog)
    wanted = {identifier: table for identifier, table in tables.items() if policy.is_about(identifier)}
    absent = [name for name in policy.tables if not any(name in (one, one.partition(".")[2]) for one in wanted)]
    if absent:
        raise TableNotFoundError(f"table {absent[0]!r} does not exist", legal=", ".join(tables) or "none yet")
    needed = needed_by_consumers(tables)
    return [
        Finding(health, plan_table(health, history_of(table), needed[identifier], policy))
        for identifier, table in wanted.items()
        for health in (_health(table, tables, policy.orphan_days),)
    ]


def _load(catalog: Catalog) -> dict[str, IcebergTable]:
    return {identifier: catalog.load_table(identifier) for identifier in table_identifiers(catalog)}


def _health(table: IcebergTable, tables: dict[str, IcebergTable], orphan_days: float | None) -> TableHealth:
    if orphan_days is None:
        return health_of(table)
    others = [other.location() for other in tables.values() if other is not table]
    return health_of(table, orphans=orphans_of(table, orphan_days, others))
