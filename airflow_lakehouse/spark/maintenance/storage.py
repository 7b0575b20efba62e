"""What lies below a table's location, and what of it no snapshot names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_lakehouse.spark.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyiceberg.table import Table as IcebergTable


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file in storage.

    :param uri: where it is.
    :param size: bytes.
    :param modified_at: when it was last written, UTC.
    """

    uri: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Orphans:
    """What lies below a table's location.

    :param files: files that no snapshot names and that are old enough to belong to no commit under way.
    :param bytes: their size.
    :param stored_files: all files below the location.
    :param stored_bytes: their size.
    :param found: the orphans themselves.
    """

    files: int
    bytes: int
    stored_files: int
    stored_bytes: int
    found: tuple[StoredFile, ...] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, int]:
        """Return the counts as JSON values."""
        return {
            "files": self.files,
            "bytes": self.bytes,
            "stored_files": self.stored_files,
            "stored_bytes": self.stored_bytes,
        }


def list_stored(table: IcebergTable, others: Iterable[str] = ()) -> list[StoredFile]:
    """Return the files below a table's location.

    :param table: the table.
    :param others: locations of other tables; what lies below them is theirs, even where they lie within this one.
    """
    location = table.location()
    root = files.folder_uri(location)
    inside = tuple(f"{bare(other)}/" for other in others if bare(other) != bare(location))
    found = []
    for name, size, written in files.list_below(location, table.io.properties):
        uri = f"{root}{name}"
        if not bare(uri).startswith(inside):
            # What has no time is as young as can be.
            at = datetime.fromtimestamp(written, UTC) if written else datetime.now(UTC)
            found.append(StoredFile(uri, size, at))
    return found


def orphans_of(table: IcebergTable, days: float, others: Iterable[str] = ()) -> Orphans:
    """Look for files that nothing names. Storage is listed, and the manifests of every snapshot are read.

    :param table: the table.
    :param days: age from which such a file is an orphan.
    :param others: as for :func:`list_stored`.
    """
    limit = datetime.now(UTC) - timedelta(days=days)
    # Listed first: what is committed meanwhile is named by then, and what is written meanwhile is not in the list.
    stored = list_stored(table, others)
    named = set(map(bare, _named(table.refresh())))
    root = files.folder_uri(table.location())
    orphans = tuple(
        file
        for file in stored
        if file.modified_at < limit and bare(file.uri) not in named and not _is_hidden(file.uri.removeprefix(root))
    )
    total = sum(file.size for file in stored)
    return Orphans(len(orphans), sum(file.size for file in orphans), len(stored), total, orphans)


def _is_hidden(name: str) -> bool:
    """Tell whether Iceberg overlooks a file in storage, such as the checksum file Hadoop puts beside each."""
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _named(table: IcebergTable) -> Iterator[str]:
    """Yield every file that a snapshot, or the table itself, names."""
    yield table.metadata_location
    yield from (entry.metadata_file for entry in table.metadata.metadata_log)
    yield from (statistics.statistics_path for statistics in table.metadata.statistics)
    yield from (statistics.statistics_path for statistics in table.metadata.partition_statistics)
    manifests = {}
    for snapshot in table.snapshots():
        yield snapshot.manifest_list
        manifests.update({manifest.manifest_path: manifest for manifest in snapshot.manifests(table.io)})
    for path, manifest in manifests.items():
        yield path
        yield from (entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io))


def bare(uri: str) -> str:
    """Return a URI without its scheme: Spark and PyIceberg spell ``file:/`` and ``file:///``, ``s3`` and ``s3a``.

    :param uri: a path or URI.
    """
    scheme, colon, rest = uri.partition(":/")
    if not colon:
        return uri.rstrip("/")
    path = rest.lstrip("/").rstrip("/")
    return f"/{path}" if scheme == "file" else path
