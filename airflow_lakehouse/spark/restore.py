"""Tables whose metadata file is gone or broken, put back as they were before their last commits.

A rule that deletes files of a bucket by age, or a disk that failed, takes the one file that a catalog names, and with
it the table (https://github.com/apache/iceberg/issues/10560). The files before it are still there: Iceberg keeps some.
The newest whole one is written in the lost one's place, so that the catalog itself is never without the table: a run
would make an empty one in its place.

What was committed since is no longer there, and nothing may take it for loaded. So the ledger is made anew before
bronze comes back, from what bronze will be; silver finds its watermark ahead of bronze, and its next run makes it anew.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from airflow_lakehouse.exceptions import TableLostError
from airflow_lakehouse.spark.bronze import ledger_rebuild
from airflow_lakehouse.spark.storage import files
from airflow_lakehouse.spark.storage.catalog import find_table, load_pyiceberg, named_metadata, table_identifiers
from airflow_lakehouse.tables import NAMESPACES, ops

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.metadata import TableMetadata

    from airflow_lakehouse.profile import Profile

_BRONZE, _SILVER, _GOLD, _OPS = NAMESPACES
_ORDER: Final = (_OPS, _BRONZE, _SILVER, _GOLD)
_METADATA: Final = re.compile(r"[^/]+[.]metadata[.]json")


@dataclass(frozen=True)
class Lost:
    """A table whose metadata is lost, and what it can be put back to.

    :param name: namespace and name.
    :param location: the file that is gone or broken.
    :param source: the file it is put back from; None where no whole one is left.
    :param metadata: what it will be.
    """

    name: str
    location: str
    source: str | None = None
    metadata: TableMetadata | None = None

    @property
    def at(self) -> str:
        """When it was as it will be, ISO 8601."""
        stamp = self.metadata.last_updated_ms / 1000 if self.metadata else 0
        return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="seconds")


def lost_tables(catalog: Catalog) -> list[Lost]:
    """Return the tables whose metadata is lost, those that others are made from first.

    :param catalog: the catalog.
    """
    found = []
    for name in sorted(table_identifiers(catalog), key=lambda one: _ORDER.index(one.partition(".")[0])):
        try:
            find_table(catalog, name)
        except TableLostError:
            location, previous = named_metadata(catalog, name)
            found.append(_with_source(catalog.properties, name, location, previous))
    return found


def restore(profile: Profile) -> list[Lost]:
    """Put back every table whose metadata is lost. Done a second time, or after a kill, it does what is left.

    :param profile: the lakehouse, with the parsers that filled it.
    :return: the tables; what was committed to them after :attr:`Lost.at` is for the next runs to do again.
    :raises TableLostError: when one of them has no whole metadata file left; nothing is put back then.
    """
    catalog = load_pyiceberg(profile)
    lost = lost_tables(catalog)
    hopeless = [table.name for table in lost if table.metadata is None]
    if hopeless:
        raise TableLostError(
            f"no whole metadata file is left of {', '.join(hopeless)}",
            remedy="put one back from a backup or the bucket's versions",
        )
    behind = [table for table in lost if not table.name.startswith(f"{_OPS}.")]
    for table in lost:
        if table not in behind:
            _put_back(catalog.properties, table)
    if any(table.name.startswith(f"{_BRONZE}.") or table.name == ops.INGESTED_FILES.identifier for table in lost):
        ledger_rebuild.rebuild_from(cast("Catalog", _AsPutBack(catalog, behind)), profile)
    for table in behind:
        _put_back(catalog.properties, table)
    return lost


class _AsPutBack:
    """A catalog as it will be when the lost tables are back; everything else is the catalog's own."""

    def __init__(self, catalog: Catalog, lost: list[Lost]) -> None:
        self._catalog, self._lost = catalog, {table.name: table for table in lost}

    def load_table(self, name: Any) -> IcebergTable:
        """Return a table, a lost one from the file it will be put back from."""
        from pyiceberg.table import StaticTable

        found = self._lost.get(name if isinstance(name, str) else ".".join(name))
        if found is None:
            return self._catalog.load_table(name)
        return StaticTable.from_metadata(str(found.source), dict(self._catalog.properties))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)


def _with_source(properties: Mapping[str, str], name: str, location: str, previous: str | None) -> Lost:
    io = _io(properties, location)
    for source, metadata in _candidates(io, properties, location, previous):
        whole = _without_lost_snapshots(io, metadata)
        if whole is not None:
            return Lost(name, location, source, whole)
    return Lost(name, location)


def _io(properties: Mapping[str, str], location: str) -> FileIO:
    from pyiceberg.io import load_file_io

    return load_file_io(dict(properties), location)


def _candidates(
    io: FileIO, properties: Mapping[str, str], location: str, previous: str | None
) -> Iterator[tuple[str, TableMetadata]]:
    """Yield readable metadata files: the one the catalog names as the one before, then the others, newest first.

    The catalog's word goes first: a file that is newer may be that of a commit that failed.
    """
    folder = location.rpartition("/")[0]
    below = [name for name, _, _ in files.list_below(folder, properties) if _METADATA.fullmatch(name)]
    named = [uri for uri in [previous] if uri]
    others = [uri for name in below if (uri := f"{folder}/{name}") not in (location, previous)]
    read = {uri: metadata for uri in (*named, *others) if (metadata := _read(io, uri)) is not None}
    rest = sorted((uri for uri in others if uri in read), key=lambda uri: read[uri].last_updated_ms, reverse=True)
    yield from ((uri, read[uri]) for uri in (*named, *rest) if uri in read)


def _read(io: FileIO, uri: str) -> TableMetadata | None:
    from pydantic import ValidationError
    from pyiceberg.exceptions import ValidationError as IcebergValidationError
    from pyiceberg.serializers import FromInputFile

    with suppress(OSError, ValueError, ValidationError, IcebergValidationError):
        return FromInputFile.table_metadata(io.new_input(uri))
    return None


def _without_lost_snapshots(io: FileIO, metadata: TableMetadata) -> TableMetadata | None:
    """Return the metadata without snapshots that have expired since; None where the current one is among them."""
    there = {one.snapshot_id for one in metadata.snapshots if io.new_input(one.manifest_list).exists()}
    current = metadata.current_snapshot_id
    manifests = next((one.manifests(io) for one in metadata.snapshots if one.snapshot_id == current in there), [])
    if current is not None and (current not in there or not all(_exists(io, one.manifest_path) for one in manifests)):
        return None
    return metadata.model_copy(
        update={
            "snapshots": [one for one in metadata.snapshots if one.snapshot_id in there],
            "refs": {name: ref for name, ref in metadata.refs.items() if ref.snapshot_id in there},
            "snapshot_log": [one for one in metadata.snapshot_log if one.snapshot_id in there],
        }
    )


def _exists(io: FileIO, uri: str) -> bool:
    return io.new_input(uri).exists()


def _put_back(properties: Mapping[str, str], table: Lost) -> None:
    from pyiceberg.serializers import ToOutputFile

    if table.metadata is not None:
        output = _io(properties, table.location).new_output(table.location)
        ToOutputFile.table_metadata(table.metadata, output, overwrite=True)
