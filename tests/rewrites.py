"""A commit of the kind compaction makes, of whatever files a test likes; PyIceberg makes none by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _OverwriteFiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table


class _Rewrite(_OverwriteFiles):
    def _summary(self, snapshot_properties: Any = None) -> Summary:
        summary = super()._summary(snapshot_properties or {})
        return Summary(Operation.REPLACE, **summary.additional_properties)


def rewrite(table: Table, gone: Iterable[DataFile], come: Iterable[DataFile]) -> None:
    """Replace data files by others, in one commit."""
    with table.transaction() as change, _Rewrite(Operation.OVERWRITE, change, table.io) as commit:
        for file in gone:
            commit.delete_data_file(file)
        for file in come:
            commit.append_data_file(file)
