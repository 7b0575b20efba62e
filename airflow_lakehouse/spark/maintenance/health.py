"""What a table costs those who read it, from Iceberg metadata alone.

Manifests say how large every file is and how many rows it holds (https://iceberg.apache.org/spec/#manifests); no data
file is opened, and storage is listed only where orphans are asked for.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

    from airflow_lakehouse.spark.maintenance.storage import Orphans

SMALL: Final = 0.75
"""Share of the target size below which a data file is small; what ``rewrite_data_files`` takes by default."""
DELETION_VECTORS: Final = 3
"""Table format from which position deletes are vectors, one a data file, which writers merge and drop themselves."""
_FILE_PATH_ID: Final = 2147483546
"""Field id of ``file_path`` in a position delete file; where its bounds are equal, it is about one data file."""
_MANIFEST_BYTES: Final = 8 * 2**20
"""Default of ``commit.manifest.target-size-bytes``."""


@dataclass(frozen=True)
class TableHealth:
    """The state of one table.

    :param namespace: namespace of the table.
    :param name: its name.
    :param format_version: of the Iceberg table format.
    :param measured_at: when it was looked at, UTC.
    :param records: rows in its data files, those that delete files take away included.
    :param data_files: data files a reader of the whole table opens.
    :param data_bytes: their size.
    :param small_files: data files below :data:`SMALL` of the table's target size.
    :param small_by_partition: how many of them lie in each partition, most first; partitions without one are left out.
    :param delete_files: delete files.
    :param delete_bytes: their size.
    :param deleted_rows: rows in those delete files that still belong to a data file.
    :param stray_deletes: position delete files that belong to none, or that could be one with another; 0 from
        :data:`DELETION_VECTORS` on.
    :param snapshots: snapshots there are.
    :param manifests: manifests of the current snapshot.
    :param spare_manifests: how many of them could be one with another, by their bytes.
    :param metadata_bytes: what a reader fetches before the first data file: metadata file, manifest list, manifests.
    :param last_compaction: when data files were last merged, as far as the history goes back; None for never.
    :param is_sorted: whether the table declares an order for its rows.
    :param orphans: what nothing names; None where storage was not listed.
    """

    namespace: str
    name: str
    format_version: int
    measured_at: datetime
    records: int = 0
    data_files: int = 0
    data_bytes: int = 0
    small_files: int = 0
    small_by_partition: tuple[int, ...] = field(default=(), repr=False)
    delete_files: int = 0
    delete_bytes: int = 0
    deleted_rows: int = 0
    stray_deletes: int = 0
    snapshots: int = 0
    manifests: int = 0
    spare_manifests: int = 0
    metadata_bytes: int = 0
    last_compaction: datetime | None = None
    is_sorted: bool = False
    orphans: Orphans | None = None

    @property
    def identifier(self) -> str:
        """Namespace and name with a dot."""
        return f"{self.namespace}.{self.name}"

    @property
    def small_share(self) -> float:
        """Small files as a share of all data files, 0 to 1."""
        return self.small_files / self.data_files if self.data_files else 0.0

    @property
    def delete_ratio(self) -> float:
        """Rows that delete files take away as a share of all rows in data files, 0 to 1."""
        return min(1.0, self.deleted_rows / self.records) if self.records else 0.0

    @property
    def compaction_age(self) -> timedelta | None:
        """Time since data files were last merged; None where that is not known."""
        return self.measured_at - self.last_compaction if self.last_compaction else None

    def as_dict(self) -> dict[str, Any]:
        """Return the state as JSON values; the age of the last compaction in seconds."""
        left_out = ("small_by_partition", "orphans")
        values = {name: value for name, value in vars(self).items() if name not in left_out}
        age = self.compaction_age
        return {
            **values,
            "orphans": self.orphans.as_dict() if self.orphans else None,
            "measured_at": self.measured_at.isoformat(),
            "small_share": round(self.small_share, 4),
            "delete_ratio": round(self.delete_ratio, 4),
            "last_compaction": self.last_compaction.isoformat() if self.last_compaction else None,
            "compaction_age_seconds": round(age.total_seconds()) if age else None,
        }


def health_of(table: IcebergTable, *, orphans: Orphans | None = None) -> TableHealth:
    """Return the state of a table.

    :param table: the table.
    :param orphans: from :func:`airflow_lakehouse.spark.maintenance.storage.orphans_of`, if it was asked for.
    """
    namespace, name = table.name()[-2:]
    snapshot, now = table.current_snapshot(), datetime.now(UTC)
    empty = TableHealth(namespace, name, table.format_version, now, orphans=orphans)
    if snapshot is None:
        return empty
    files = _Files(table, snapshot)
    counts = {**files.data(), **files.deletes(), **files.manifests(), "snapshots": len(table.snapshots())}
    is_sorted = not table.sort_order().is_unsorted
    return replace(empty, **counts, last_compaction=_last_compaction(table, snapshot), is_sorted=is_sorted)


class _Files:
    """The files of a snapshot.

    :param table: the table.
    :param snapshot: the snapshot.
    """

    def __init__(self, table: IcebergTable, snapshot: Snapshot) -> None:
        from pyiceberg.manifest import DataFileContent

        self._positional = DataFileContent.POSITION_DELETES if table.format_version < DELETION_VECTORS else None
        self._table, self._snapshot = table, snapshot
        self._manifests = snapshot.manifests(table.io)
        entries = [entry for manifest in self._manifests for entry in manifest.fetch_manifest_entry(table.io)]
        self._data = [entry for entry in entries if entry.data_file.content == DataFileContent.DATA]
        self._deletes = [entry for entry in entries if entry.data_file.content != DataFileContent.DATA]

    def data(self) -> dict[str, Any]:
        small_bytes = SMALL * target_bytes(self._table.properties)
        files = [entry.data_file for entry in self._data]
        small = [file for file in files if file.file_size_in_bytes < small_bytes]
        crowds = Counter(self._place(file) for file in small)
        return {
            "records": sum(file.record_count for file in files),
            "data_files": len(files),
            "data_bytes": sum(file.file_size_in_bytes for file in files),
            "small_files": len(small),
            "small_by_partition": tuple(sorted(crowds.values(), reverse=True)),
        }

    def deletes(self) -> dict[str, Any]:
        paths = {entry.data_file.file_path for entry in self._data}
        oldest: dict[Hashable, int] = {}
        for entry in self._data:
            place = self._place(entry.data_file)
            oldest[place] = min(oldest.get(place, entry.sequence_number or 0), entry.sequence_number or 0)
        rows, strays, scopes = 0, 0, set()
        for entry in self._deletes:
            file, place = entry.data_file, self._place(entry.data_file)
            one = _only_file(file)
            is_dangling = one not in paths if one else (entry.sequence_number or 0) < oldest.get(place, math.inf)
            rows += 0 if is_dangling else file.record_count
            # Those by value are compaction's to take away; nothing merges them with one another.
            strays += file.content == self._positional and (is_dangling or (place, one) in scopes)
            if not is_dangling:
                scopes.add((place, one))
        return {
            "delete_files": len(self._deletes),
            "delete_bytes": sum(entry.data_file.file_size_in_bytes for entry in self._deletes),
            "deleted_rows": rows,
            "stray_deletes": strays,
        }

    def manifests(self) -> dict[str, int]:
        io = self._table.io
        target = int(self._table.properties.get("commit.manifest.target-size-bytes", _MANIFEST_BYTES))
        sizes: Counter[object] = Counter()
        for manifest in self._manifests:
            sizes[manifest.content, manifest.partition_spec_id] += manifest.manifest_length
        heads = (self._table.metadata_location, self._snapshot.manifest_list)
        return {
            "manifests": len(self._manifests),
            "spare_manifests": len(self._manifests) - sum(math.ceil(size / target) for size in sizes.values()),
            "metadata_bytes": sum(len(io.new_input(head)) for head in heads) + sum(sizes.values()),
        }

    def _place(self, file: DataFile) -> Hashable:
        """Return what stands for a file's partition; files of former specs lie together, as they are rewritten."""
        if file.spec_id != self._table.spec().spec_id:
            return None
        return tuple(file.partition[at] for at in range(len(file.partition)))


def target_bytes(properties: Mapping[str, str]) -> int:
    """Return the size a table's data files should have.

    :param properties: of the table.
    """
    from pyiceberg.table import TableProperties

    name = TableProperties.WRITE_TARGET_FILE_SIZE_BYTES
    return int(properties.get(name, TableProperties.WRITE_TARGET_FILE_SIZE_BYTES_DEFAULT))


def _only_file(file: DataFile) -> str | None:
    """Return the one data file a delete file is about, or None where it may be about several."""
    low, high = ((bounds or {}).get(_FILE_PATH_ID) for bounds in (file.lower_bounds, file.upper_bounds))
    return low.decode() if low and low == high else None


def _last_compaction(table: IcebergTable, newest: Snapshot) -> datetime | None:
    from pyiceberg.table.snapshots import Operation, ancestors_of

    for snapshot in ancestors_of(newest, table.metadata):
        summary = snapshot.summary
        # Merging manifests replaces no data file; nor does dropping delete files.
        if summary and summary.operation is Operation.REPLACE and "deleted-data-files" in summary.additional_properties:
            return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
    return None
