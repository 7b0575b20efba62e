"""What a release changes in every table: all of it worked out before the first change is committed, then committed.

Each table's changes are one commit. Tables are committed one after the other, for no catalog commits two as one; a job
that is killed in between goes on when it is started again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import ConfigurationError, TableContractError
from airflow_lakehouse.spark.evolve import columns, partitions, settings
from airflow_lakehouse.spark.evolve.changes import ADD, RENAME, Change, Draft, TablePlan
from airflow_lakehouse.spark.iceberg import conflicts
from airflow_lakehouse.spark.iceberg.create import create_table, iceberg_schema
from airflow_lakehouse.spark.storage.catalog import find_table
from airflow_lakehouse.tables import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.tables import Table

_log = logging.getLogger(__name__)
_REMEDY: Final = "change the declaration; 'lakehouse plan' shows what it does to every table, and writes nothing"


def plan_tables(catalog: Catalog | None, tables: Iterable[Table]) -> list[TablePlan]:
    """Return what bringing tables to what is declared would do. Nothing is written.

    :param catalog: the catalog; None where there is none yet.
    :param tables: declared tables.
    """
    return [plan for _, _, plan in _drafts(catalog, tables)]


def behind(catalog: Catalog, tables: Iterable[Table]) -> list[TablePlan]:
    """Return the plans of tables that are as another release left them, and that the next job will change.

    :param catalog: the catalog.
    :param tables: declared tables; those that are not there yet are not behind.
    """
    return [plan for plan in plan_tables(catalog, tables) if plan.exists and (plan.changes or plan.refused)]


def check_current(catalog: Catalog, table: Table) -> None:
    """Refuse a table that does not have every declared column yet, to who reads it by its names and may not change it.

    :param catalog: the catalog.
    :param table: declared table; one that is not there is fine.
    :raises ConfigurationError: when a column is missing, or has another name.
    """
    for plan in behind(catalog, [table]):
        renamed = [change for change in plan.changes if change.kind in (ADD, RENAME)]
        if renamed:
            raise ConfigurationError(
                f"{plan.identifier} is as another release left it ({'; '.join(map(str, renamed))})",
                remedy="run any job of this release first, as 'lakehouse run' is; 'lakehouse plan' tells what changes",
            )


def evolve(catalog: Catalog, tables: Iterable[Table]) -> list[TablePlan]:
    """Make the tables that are missing, and bring the others to what is declared.

    :param catalog: the catalog.
    :param tables: declared tables.
    :return: those that were made or changed, and how.
    :raises TableContractError: when something cannot be done in metadata alone; then nothing was written to any table.
    """
    drafts = _drafts(catalog, tables)
    _check([plan for _, _, plan in drafts])
    return [_apply(catalog, *each) for each in drafts if each[2].changes]


def ensure_tables(catalog: Catalog, more: Iterable[Table] = ()) -> None:
    """Make every table as it is declared: those that do not exist too, so that readers find empty tables, not errors.

    To be done before anything is read by the names of today, and for all tables, whichever a job writes to: a release
    that one of them refuses must not have half arrived.

    :param catalog: the catalog.
    :param more: tables of outside parsers.
    :raises TableContractError: when a table cannot become what is declared; then nothing was written to any.
    """
    evolve(catalog, (*ALL, *more))


_Planned = tuple["Table", Draft | None, TablePlan]


def _drafts(catalog: Catalog | None, tables: Iterable[Table]) -> list[_Planned]:
    once = {table.identifier: table for table in tables}
    there = _present(catalog, once.values()) if catalog else set()
    return [_draft(catalog if name in there else None, table) for name, table in once.items()]


def _present(catalog: Catalog, tables: Iterable[Table]) -> set[str]:
    """Return the names of the tables there are; listed, so that those that are missing cost no request each."""
    known = {space for (space, *_) in catalog.list_namespaces()}
    spaces = sorted({table.namespace for table in tables} & known)
    return {".".join(name) for space in spaces for name in catalog.list_tables(space)}


def _draft(catalog: Catalog | None, table: Table) -> _Planned:
    found = find_table(catalog, table.identifier) if catalog else None
    if found is None:
        added = [Change(ADD, field.name, str(field.field_type)) for field in iceberg_schema(table).fields]
        return table, None, TablePlan(table.identifier, exists=False, changes=tuple(added))
    draft = Draft(table, found.transaction(), found.metadata)
    columns.stage(draft)
    partitions.stage(draft)
    settings.stage(draft)
    return table, draft, draft.plan()


def _check(plans: Iterable[TablePlan]) -> None:
    refused = [(plan.identifier, refusal) for plan in plans for refusal in plan.refused]
    if refused:
        told = "; ".join(f"{name}: {refusal.name!r} {refusal.reason}" for name, refusal in refused)
        raise TableContractError(
            f"nothing was written, for not every table can become what is declared: {told}",
            legal="; ".join(dict.fromkeys(refusal.legal for _, refusal in refused)),
            remedy=_REMEDY,
        )


def _apply(catalog: Catalog, table: Table, draft: Draft | None, plan: TablePlan) -> TablePlan:
    for change in plan.changes if draft else ():
        _log.info("%s: %s", table.identifier, change)
    try:
        _commit(catalog, table, draft)
    except Exception as error:
        if not conflicts.is_conflict(error):
            raise
        # Another process may have made the same change: look again at what is left to do.
        conflicts.retried(lambda: _again(catalog, table), table.identifier)
    return plan


def _commit(catalog: Catalog, table: Table, draft: Draft | None) -> None:
    if draft is None:
        catalog.create_namespace_if_not_exists(table.namespace)
        create_table(catalog, table)
    else:
        draft.transaction.commit_transaction()


def _again(catalog: Catalog, table: Table) -> None:
    _, draft, plan = _draft(catalog, table)
    _check([plan])
    if plan.changes:
        _commit(catalog, table, draft)
