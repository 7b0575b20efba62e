"""Every table of a warehouse looked at: its state, and what is due."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.exceptions import TableNotFoundError
from airflow_lakehouse.spark.maintenance.health import TableHealth, health_of
from airflow_lakehouse.spark.maintenance.history import history_of, needed_by_consumers
from airflow_lakehouse.spark.maintenance.optimizers import left_to_glue
from airflow_lakehouse.spark.maintenance.plan import ORDER, Step, plan_table
from airflow_lakehouse.spark.maintenance.storage import orphans_of
from airflow_lakehouse.spark.storage.catalog import table_identifiers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable

    from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy


@dataclass(frozen=True, slots=True)
class Finding:
    """One table.

    :param health: its state.
    :param steps: what is due, in order.
    :param left: what would be due, did not an optimizer of Glue's do it: step to the type of optimizer.
    """

    health: TableHealth
    steps: tuple[Step, ...]
    left: Mapping[Step, str] = field(default_factory=dict)

    @property
    def every(self) -> list[Step]:
        """The steps, those that are left to Glue among them, in order."""
        return sorted((*self.steps, *self.left), key=lambda step: ORDER.index(step.action))

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the steps as JSON values, in order; of those that are left to Glue, ``left_to`` says to what."""
        return [{**step.as_dict(), **self._left_to(step)} for step in self.every]

    def _left_to(self, step: Step) -> dict[str, str]:
        return {"left_to": f"AWS Glue, {self.left[step]}"} if step in self.left else {}


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
    findings = []
    for identifier, table in wanted.items():
        health = _health(table, tables, policy.orphan_days)
        due = plan_table(health, history_of(table), needed[identifier], policy)
        left = left_to_glue(catalog, due)
        findings.append(Finding(health, tuple(step for step in due if step not in left), left))
    return findings


def _load(catalog: Catalog) -> dict[str, IcebergTable]:
    return {identifier: catalog.load_table(identifier) for identifier in table_identifiers(catalog)}


def _health(table: IcebergTable, tables: dict[str, IcebergTable], orphan_days: float | None) -> TableHealth:
    if orphan_days is None:
        return health_of(table)
    others = [other.location() for other in tables.values() if other is not table]
    return health_of(table, orphans=orphans_of(table, orphan_days, others))
