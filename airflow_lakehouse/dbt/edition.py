"""Which gold is built: today's, or one as of a moment, in a namespace of its own beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.dbt import freshness
from airflow_lakehouse.dbt.manifest import read_manifest, sources_of_models
from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.spark.iceberg.as_of import resolve
from airflow_lakehouse.spark.silver import delta
from airflow_lakehouse.spark.storage.catalog import COPY_PREFIX, find_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pyiceberg.catalog import Catalog

_NAME: Final = re.compile(rf"{COPY_PREFIX}[a-z0-9_]+")
_LEGAL: Final = f"{COPY_PREFIX} and lower-case letters, digits and underscores, such as {COPY_PREFIX}2025q4"


@dataclass(frozen=True, slots=True)
class Edition:
    """One gold: where it is, and what it is built from.

    :param namespace: where its tables are.
    :param snapshots: source table, ``namespace.name``, to its snapshot; None for one without rows then. None for the
        sources as they are.
    """

    namespace: str = freshness.NAMESPACE
    snapshots: Mapping[str, int | None] | None = None

    def table(self, model: str) -> str:
        """Return namespace and name of a model's table.

        :param model: the model.
        """
        return f"{self.namespace}.{model}"

    def environ(self) -> dict[str, str]:
        """Return what the dbt project is told. Today's gold says so too: a shell's own variables must not lead it."""
        if self.snapshots is None:
            return {"LAKEHOUSE_GOLD_SCHEMA": "", "LAKEHOUSE_SOURCES_AS_OF": ""}
        told = json.dumps(self.snapshots, sort_keys=True)
        return {"LAKEHOUSE_GOLD_SCHEMA": self.namespace, "LAKEHOUSE_SOURCES_AS_OF": told}


TODAY: Final = Edition()
"""Gold from the sources as they are."""


def edition(catalog: Catalog, project: Path, as_of: str | None, namespace: str | None) -> Edition:
    """Return the gold that is asked for.

    :param catalog: the catalog of the sources.
    :param project: the dbt project.
    :param as_of: a run, a tag or a time, see :func:`airflow_lakehouse.spark.iceberg.as_of.resolve`; None for today's.
    :param namespace: where gold as of a moment goes: one of its own, so that it never takes the place of today's.
    :raises ConfigurationError: when one is given without the other, the namespace is not a legal one, a source cannot
        be read as of a moment, or was de-identified since.
    :raises SnapshotNotFoundError: when there is no such run, tag or time, or what there was has expired.
    """
    if as_of is None and namespace is None:
        return TODAY
    if as_of is None or namespace is None:
        given = f"namespace {namespace!r}" if as_of is None else f"a moment, {as_of!r},"
        raise ConfigurationError(
            f"gold was given {given} alone", legal=f"both, a moment and a namespace: {_LEGAL}; or neither"
        )
    if not _NAME.fullmatch(namespace):
        raise ConfigurationError(f"gold as of a moment cannot go to namespace {namespace!r}", legal=_LEGAL)
    moment = resolve(catalog, as_of)
    snapshots: dict[str, int | None] = {}
    for name in sorted(set().union(*sources_of_models(read_manifest(project)).values())):
        table = find_table(catalog, name)
        if table is None:
            raise ConfigurationError(
                f"source {name} is in no table of this warehouse, and cannot be read as of {as_of!r}",
                remedy="build a project without it",
            )
        if delta.shows_persons_again(table, moment):
            raise ConfigurationError(
                f"{name} was de-identified in another way at {as_of!r}, or not at all", legal="a moment since"
            )
        snapshot = moment.snapshot(table)
        snapshots[name] = snapshot.snapshot_id if snapshot else None
    return Edition(namespace, snapshots)
