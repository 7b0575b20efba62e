"""What readers of tables see before a job and after it: the ids of snapshots, from metadata alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from airflow_lakehouse.spark.storage.catalog import find_catalog, find_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_lakehouse.profile import Profile


class Heads(TypedDict):
    """The snapshot of a table before a job and after it; None where the table did not exist or was empty."""

    before: int | None
    after: int | None


def heads(profile: Profile, tables: Iterable[str]) -> dict[str, int | None]:
    """Return the id of the snapshot that readers of each table see; None for a table that has none, or is not there.

    :param profile: the lakehouse.
    :param tables: namespaces and names.
    """
    names = tuple(tables)
    catalog = find_catalog(profile) if names else None
    found = {name: find_table(catalog, name) if catalog else None for name in names}
    return {name: table.metadata.current_snapshot_id if table else None for name, table in found.items()}


def moved(before: dict[str, int | None], after: dict[str, int | None]) -> dict[str, Heads]:
    """Return the tables whose readers see another snapshot now.

    :param before: what :func:`heads` gave at first.
    :param after: what it gives now.
    """
    return {name: {"before": before[name], "after": now} for name, now in after.items() if now != before[name]}
