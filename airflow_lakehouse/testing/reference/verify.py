"""A lakehouse compared with the reference: what was lost, what is there twice or too much, and what is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.tables import Table
    from airflow_lakehouse.testing.reference.lakehouse import Key, ReferenceLakehouse, Values


@dataclass
class Differences:
    """Keys, as ``table: key``, that are not as they must be; true if there is one. Texts of records are never in it.

    :param lost: must be there and are not.
    :param doubled: are there twice, or must not be there.
    :param wrong: are there, decided by another record than must decide, or with another text.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.wrong)


def compare(
    profile: Profile, reference: ReferenceLakehouse, layers: Collection[str] = ("bronze", "silver")
) -> Differences:
    """Compare every table the reference knows.

    :param profile: the lakehouse.
    :param reference: what it must hold.
    :param layers: namespaces of the tables; silver may not have been made yet.
    """
    from airflow_lakehouse.spark.storage.catalog import find_table, load_pyiceberg

    catalog = load_pyiceberg(profile)
    found = Differences()
    tables = {table: wanted for table, wanted in reference.expected().items() if table.namespace in layers}
    for table, wanted in tables.items():
        stored = find_table(catalog, table.identifier)
        rows = stored.scan().to_arrow().to_pylist() if stored else []
        _compare(table, wanted, [row for row in rows if not _is_half_loaded(row, table, reference)], found)
    return found


def _is_half_loaded(row: dict[str, Any], table: Table, reference: ReferenceLakehouse) -> bool:
    """Tell whether a row of bronze is of a load that was killed and has not been done again: it may be there or not."""
    return table.namespace == "bronze" and (row["source_uri"], row["source_etag"]) in reference.unloaded()


def _compare(table: Table, wanted: dict[Key, Values], rows: list[dict[str, Any]], found: Differences) -> None:
    held = Counter(tuple(row[name] for name in table.key) for row in rows)
    found.lost += [_named(table, key) for key in wanted if key not in held]
    found.doubled += [_named(table, key) for key, count in held.items() if count > 1 or key not in wanted]
    for row in rows:
        key = tuple(row[name] for name in table.key)
        if any(row[name] != value for name, value in wanted.get(key, {}).items()):
            found.wrong.append(_named(table, key))


def _named(table: Table, key: Key) -> str:
    return f"{table.name}: {', '.join(map(str, key))}"
