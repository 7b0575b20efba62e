"""Whether a gold table still is what its project makes of its sources.

Each gold table carries what it was built from as table properties: a hash of the project and of the snapshots its
sources were at, and the snapshot it had then. Where both still hold, dbt is not even started. Setting a property
commits table metadata and no snapshot: readers, time travel and incremental consumers do not see it.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from airflow_lakehouse.dbt.manifest import read_manifest, sources_of_models
from airflow_lakehouse.spark.iceberg.run_tags import tag_run
from airflow_lakehouse.spark.storage.catalog import current_snapshot, find_table, load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.profile import Profile

NAMESPACE: Final = "gold"
TESTED: Final = "lakehouse.sources"
"""Table property: what a gold table was built from, and the snapshot it had then; set when its tests have passed."""
BUILT: Final = "lakehouse.built"
"""Table property: the same, set when it is built. Its tests may not have run, or may have failed."""


def fingerprints(catalog: Catalog, project: Path, snapshots: Mapping[str, int | None] | None = None) -> dict[str, str]:
    """Return, for each gold table, a hash of what it is built from: the project and its sources' snapshots.

    :param catalog: the catalog the sources are in.
    :param project: the dbt project.
    :param snapshots: source to the snapshot it is read as of; None for those they have now.
    """
    code = hash_of_project(project)
    sources = sources_of_models(read_manifest(project))
    tables = set().union(*sources.values())
    ids = snapshots if snapshots is not None else {table: _state(catalog, table) for table in tables}
    return {
        model: sha256(json.dumps([code, {table: ids[table] for table in sorted(tables)}]).encode()).hexdigest()
        for model, tables in sources.items()
    }


def _state(catalog: Catalog, table: str) -> int | str | None:
    if find_table(catalog, _identifier(table)) is None:
        # A source of another catalog: whether it has changed cannot be told, so it always has.
        return uuid4().hex
    return snapshot_id(catalog, table)


def is_marked(catalog: Catalog, model: str, inputs: str, *marks: str) -> bool:
    """Tell whether a table carries one of these marks for these inputs, and has not moved since.

    :param catalog: the catalog.
    :param model: the gold table.
    :param inputs: from :func:`fingerprints`.
    :param marks: :data:`TESTED`, :data:`BUILT`.
    """
    table = find_table(catalog, _identifier(model))
    wanted = f"{inputs}:{snapshot_id(catalog, model)}"
    return table is not None and any(table.properties.get(mark) == wanted for mark in marks)


def mark(catalog: Catalog, model: str, inputs: str, name: str) -> None:
    """Note on a table what it was built from.

    :param catalog: the catalog.
    :param model: the gold table.
    :param inputs: from :func:`fingerprints`, taken before it was built.
    :param name: :data:`TESTED` or :data:`BUILT`.
    """
    _set(catalog, model, name, f"{inputs}:{snapshot_id(catalog, model)}")


def mark_tested(catalog: Catalog, model: str) -> None:
    """Note that the tests of a table have passed, if it still is what its last build made.

    Sources may have moved since: the note says what it was built from, not what there is now.

    :param catalog: the catalog.
    :param model: the gold table.
    """
    table = find_table(catalog, _identifier(model))
    built = table.properties.get(BUILT) if table else None
    if built and built.endswith(f":{snapshot_id(catalog, model)}"):
        _set(catalog, model, TESTED, built)


def tag_gold(profile: Profile, run_id: str, models: Iterable[str]) -> None:
    """Tag gold tables that were built as what a run left; see :mod:`airflow_lakehouse.spark.iceberg.run_tags`.

    :param profile: the lakehouse.
    :param run_id: the run.
    :param models: the tables.
    """
    moved = [_identifier(model) for model in models]
    if moved:
        tag_run(load_pyiceberg(profile), run_id, moved)
        checkpoint(profile)


def _set(catalog: Catalog, model: str, name: str, value: str) -> None:
    table = catalog.load_table(_identifier(model))
    if table.properties.get(name) != value:
        with table.transaction() as change:
            change.set_properties({name: value})


def hash_of_project(project: Path) -> str:
    """Return a hash of the files of a dbt project, what dbt itself writes there left out.

    :param project: its directory.
    """
    digest = sha256()
    for path in sorted(project.rglob("*")):
        name = path.relative_to(project).as_posix()
        if path.is_file() and name.split("/")[0] not in ("target", "logs", ".user.yml"):
            digest.update(f"{name}\0{sha256(path.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()


def _identifier(table: str) -> str:
    return table if "." in table else f"{NAMESPACE}.{table}"


def snapshot_id(catalog: Catalog, table: str) -> int | None:
    """Return the id of the snapshot readers see, or None.

    :param catalog: the catalog.
    :param table: a gold table by name, or ``namespace.name``.
    """
    snapshot = current_snapshot(catalog, _identifier(table))
    return snapshot.snapshot_id if snapshot else None
