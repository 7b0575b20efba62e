"""What bronze, quarantine and silver must hold after some runs over a drop."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.tables import bronze, silver
from airflow_lakehouse.testing.reference import rules
from airflow_lakehouse.testing.reference.records import occurrences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_lakehouse.tables import Table
    from airflow_lakehouse.testing.reference.records import DropFile

Key = tuple[Any, ...]
"""Values of a table's key columns."""
Values = dict[str, Any]
"""Column to value: those that tell which record decided."""
_RESOURCES: Final = {
    silver.PATIENT: bronze.PATIENT,
    silver.ENCOUNTER: bronze.ENCOUNTER,
    silver.CONDITION: bronze.CONDITION,
}


@dataclass
class _Version:
    file: DropFile
    tick: int
    loaded: bool = False
    came: int = 0
    """When it was last found in its place after another version was loaded from there."""

    @property
    def order(self) -> tuple[int, str]:
        return max(self.tick, self.came), self.file.etag


class ReferenceLakehouse:
    """A lakehouse that is told what a drop held when each run began.

    ::

        expected = ReferenceLakehouse()
        expected.run(read_drop(raw))          # beside `lakehouse run`
        assert not compare(profile, expected)
    """

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], _Version] = {}
        self._tick = 0

    def see(self, files: Iterable[DropFile]) -> None:
        """Write down the file versions of a run; they keep that run's time, though it may load nothing of them.

        :param files: the drop as the run found it.
        """
        self._tick += 1
        for file in files:
            self._versions.setdefault((file.uri, file.etag), _Version(file, self._tick))

    def run(self, files: Iterable[DropFile]) -> None:
        """Load the file versions that no run has loaded.

        :param files: the drop as the run found it.
        """
        found = list(files)
        before = {version.file.uri: version for version in self._live()}
        self.see(found)
        for file in found:
            version = self._versions[file.uri, file.etag]
            version.loaded = True
            if version.order < before.get(file.uri, version).order:
                version.came = self._tick

    def _rows(self, versions: Iterable[_Version]) -> Iterator[rules.Row]:
        for version in versions:
            file = version.file
            for record in occurrences(file):
                yield rules.Row(file.uri, file.etag, version.tick, file.source_system, record)

    def _loaded(self) -> list[_Version]:
        return [version for version in self._versions.values() if version.loaded]

    def _live(self) -> list[_Version]:
        """Return the newest loaded version of each file (data-model.md, Layers)."""
        newest: dict[str, _Version] = {}
        for version in sorted(self._loaded(), key=lambda one: one.order):
            newest[version.file.uri] = version
        return list(newest.values())

    def unloaded(self) -> set[tuple[str, str]]:
        """Return the file versions that were written down and never loaded: bronze may hold some of their rows."""
        return {key for key, version in self._versions.items() if not version.loaded}

    def expected(self) -> dict[Table, dict[Key, Values]]:
        """Return what each table must hold: its key, and the values that tell which record decided."""
        found: dict[Table, dict[Key, Values]] = defaultdict(dict)
        for row in self._rows(self._loaded()):
            table, key, values = _in_bronze(row)
            found[table][key] = values
        live: dict[Table, list[rules.Row]] = defaultdict(list)
        for row in self._rows(self._live()):
            live[_in_bronze(row)[0]].append(row)
        for target, source in _RESOURCES.items():
            for row, _ in rules.winners(live[source]):
                found[target][row.source_system, row.record.resource_id] = _decided(row)
        observed = [one for won in rules.winners(live[bronze.OBSERVATION]) for one in rules.observed(*won)]
        found[silver.OBSERVATION], found[silver.COLLISIONS] = _placed(observed)
        return {table: found.get(table, {}) for table in TABLES}


TABLES: Final = (
    *bronze.FHIR_TABLES.values(),
    bronze.OTHER,
    bronze.QUARANTINE,
    *_RESOURCES,
    silver.OBSERVATION,
    silver.COLLISIONS,
)
"""The tables the model knows: all but those of documents, which need an engine that reads pages."""


def _in_bronze(row: rules.Row) -> tuple[Table, Key, Values]:
    record = row.record
    key = (row.uri, row.etag, record.position, record.entry)
    if record.reason:
        return bronze.QUARANTINE, key, {"reason": record.reason}
    table = bronze.FHIR_TABLES.get(record.resource_type, bronze.OTHER)
    return table, key, {"resource_id": record.resource_id, "deleted": record.deleted, "body": record.text}


def _decided(row: rules.Row) -> Values:
    return {"version_id": row.record.version_id, "source_uri": row.uri, "source_row": row.record.position}


def _placed(observed: list[rules.Observed]) -> tuple[dict[Key, Values], dict[Key, Values]]:
    """Return who holds each key, and the collisions: who lacks a part of it, or lost it to another."""
    holders: dict[Key, rules.Observed] = {}
    for one in observed:
        if not one.missing:
            holders[one.key] = max(holders.get(one.key, one), one, key=lambda rival: rival.order)
    kept = {key: {"observation_id": one.observation_id, **_decided(one.row)} for key, one in holders.items()}
    collided = {}
    for one in observed:
        if one.missing or holders[one.key] is not one:
            reason = f"NULL_{one.missing.upper()}" if one.missing else "SAME_KEY"
            winner = None if one.missing else holders[one.key].observation_id
            told = {"collision_reason": reason, "winner_observation_id": winner}
            collided[one.row.source_system, one.observation_id] = {**told, **_decided(one.row)}
    return kept, collided
