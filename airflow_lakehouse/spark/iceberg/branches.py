"""Branches on which a run stages silver, and how readers get to see them: write, audit, publish.

A branch begins where main was when the run looked, and only main tells readers what a table says
(https://iceberg.apache.org/docs/latest/branching/). Publishing moves main to what was audited, if main still is where
the branch began. Iceberg commits one table at a time: all tables are looked at before the first one moves, and a run
that is killed in between leaves the rest to the next one, whose watermarks tell it so.
"""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from airflow_lakehouse.spark.iceberg import conflicts, load, schema
from airflow_lakehouse.spark.iceberg.run_tags import RETENTION, age_from
from airflow_lakehouse.spark.storage.catalog import find_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable
    from pyspark.sql import DataFrame, SparkSession

    from airflow_lakehouse.tables import Table

PREFIX: Final = "audit_"
_ABANDONED: Final = timedelta(days=1)
"""After so long, the branch of a run that was killed goes with the next expiry."""
_MINUTE_MS: Final = 60_000


@dataclass(frozen=True)
class Staged:
    """A table as a run wants readers to see it, on a branch.

    :param table: the table.
    :param branch: name of the branch.
    :param base: snapshot of main the branch began at; None where the table was empty.
    :param snapshot: what is to be published.
    :param touched: the keys the run changed, with what it did to them; None where every row is new.
    :param change: what the run did.
    """

    table: Table
    branch: str
    base: int | None
    snapshot: int
    touched: DataFrame | None
    change: load.Change


def new_name(run_id: str) -> str:
    """Return the name of a branch; no other try of the same run has it, be it alive or not.

    :param run_id: the run.
    """
    return f"{PREFIX}{quote(run_id, safe='')}_{uuid.uuid4().hex[:8]}"


def create(spark: SparkSession, catalog: Catalog, table: Table, branch: str, base: int | None) -> int:
    """Make a branch of a table, in place of one of that name, and return the snapshot it begins with.

    :param spark: the session; it makes one of an empty table, too, which begins with an empty snapshot.
    :param catalog: the catalog.
    :param table: the table.
    :param branch: its name.
    :param base: snapshot to begin at; None for an empty table.
    :raises ConflictError: when the table was empty, and is not any more: the branch would begin with another's rows.
    """
    from pyiceberg.table.snapshots import ancestors_of

    found = catalog.load_table(table.identifier)
    if base is None and branch in found.refs():
        # Of an attempt that met a conflict. Spark replaces a branch by what is in main, and fails where nothing is.
        with found.manage_snapshots() as change:
            change.remove_branch(branch)
    at = found.snapshot_by_id(base) if base is not None else None
    # Iceberg reckons the age of a branch from its snapshot, which may be years old when the branch is made.
    minutes = age_from(at.timestamp_ms if at else _now_ms(), _ABANDONED) // _MINUTE_MS + 1
    start = f" AS OF VERSION {base}" if base is not None else ""
    name = schema.qualified(table)
    spark.sql(f"ALTER TABLE {name} CREATE OR REPLACE BRANCH `{branch}`{start} RETAIN {minutes} MINUTES")
    found = catalog.load_table(table.identifier)
    begun = found.refs()[branch].snapshot_id
    if base is None and any(one.snapshot_id == begun for one in ancestors_of(found.current_snapshot(), found.metadata)):
        raise load.conflict(table)
    return begun


def publish(catalog: Catalog, staged: Staged) -> None:
    """Let readers see what was staged, and take the branch away, in one commit.

    :param catalog: the catalog.
    :param staged: what was audited.
    :raises ConflictError: when main is no longer where the branch began.
    """
    from pyiceberg.exceptions import CommitFailedException
    from pyiceberg.table.update.snapshot import ManageSnapshots

    table = check_base(catalog, staged)
    try:
        with table.transaction() as transaction, ManageSnapshots(transaction) as change:
            # The commit itself requires main to be where it was a moment ago, when it was compared.
            change.set_current_snapshot(staged.snapshot)
            if staged.branch in table.refs():
                change.remove_branch(staged.branch)
    except CommitFailedException as error:
        raise load.conflict(staged.table) from error


def check_base(catalog: Catalog, staged: Staged) -> IcebergTable:
    """Return a table whose main is where a branch began.

    :param catalog: the catalog.
    :param staged: the branch.
    :raises ConflictError: when another commit has moved it.
    """
    table = catalog.load_table(staged.table.identifier)
    head = table.current_snapshot()
    if (head.snapshot_id if head else None) != staged.base:
        raise load.conflict(staged.table)
    return table


def keep(catalog: Catalog, staged: Iterable[Staged]) -> None:
    """Keep branches for as long as the tag of a run: somebody will want to see why they were not published.

    :param catalog: the catalog.
    :param staged: the branches.
    """
    for one in staged:
        conflicts.retried(partial(_keep, catalog, one), one.table.name)


def _keep(catalog: Catalog, staged: Staged) -> None:
    table = find_table(catalog, staged.table.identifier)
    snapshot = table.snapshot_by_id(staged.snapshot) if table else None
    if table is not None and snapshot is not None:
        with table.manage_snapshots() as change:
            change.create_branch(staged.snapshot, staged.branch, age_from(snapshot.timestamp_ms, RETENTION))


def drop(catalog: Catalog, tables: Iterable[Table], branch: str) -> None:
    """Take a branch away wherever it is. What is left of it goes with the next expiry.

    :param catalog: the catalog.
    :param tables: tables that may have it.
    :param branch: its name.
    """
    for table in tables:
        found = find_table(catalog, table.identifier)
        if found is not None and branch in found.refs():
            # Whoever commits at the same time goes first: a branch that stays has an end, and is in nobody's way.
            with suppress(Exception), found.manage_snapshots() as change:
                change.remove_branch(branch)


def _now_ms() -> int:
    return int(time.time() * 1000)
