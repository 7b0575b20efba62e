"""Documents that were read again after they were loaded: by another engine, a newer version, or with other answers.

Their rows become those of the new result. What it no longer has is deleted: the blocks of two readings side by side
would say every word twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_lakehouse.ocr.folder import open_folder
from airflow_lakehouse.ocr.results import forget_again, noted_again
from airflow_lakehouse.spark.bronze import batch, discovery
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.bronze.ledger_rows import DISCOVERED, Entry, Key, file_of, key_of, loaded_entry
from airflow_lakehouse.spark.iceberg import load
from airflow_lakehouse.spark.silver import conform
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame

    from airflow_lakehouse.ocr.results import Pointer
    from airflow_lakehouse.parsing import Registry
    from airflow_lakehouse.spark.jobs.model import JobArguments
    from airflow_lakehouse.tables import Table

_REPLACED = (bronze.DOCS_TEXT, bronze.DOCS_PAGES, bronze.QUARANTINE)


@dataclass(frozen=True)
class Reread:
    """Documents to load again.

    :param entries: as the ledger has them, with the parser of today.
    :param notes: that say so, by name.
    :param root: of the results.
    """

    entries: Sequence[Entry]
    notes: dict[str, Pointer]
    root: str

    @property
    def keys(self) -> set[Key]:
        """Their file versions."""
        return {(entry.file.uri, entry.file.etag) for entry in self.entries}

    def settle(self) -> None:
        """Forget the notes: the rows are those of the results."""
        if self.notes:
            forget_again(open_folder(self.root), self.notes)


def find(catalog: Catalog, registry: Registry, arguments: JobArguments) -> Reread:
    """Return the documents that have another result than the one that was loaded, and are still there.

    :param catalog: the catalog.
    :param registry: the parsers.
    :param arguments: the profile and which part of the drop.
    """
    root = arguments.profile.textract_uri
    noted = noted_again(open_folder(root))
    if not noted:
        return Reread((), {}, root)
    known = {key_of(row): row for row in Ledger(catalog).rows() if row["state"] != DISCOVERED}
    entries, notes = [], {}
    for name, pointer in noted.items():
        row = known.get((pointer.source_uri, pointer.source_etag))
        if row is None or not arguments.scope.covers(row["dt"], row["source_system"]):
            continue
        file = file_of(row, root)
        if discovery.is_unchanged(file):
            found = discovery.claim(file, registry)
            entries.append(loaded_entry(row, found))
            notes[name] = pointer
    return Reread(entries, notes, root)


class Replaced(batch.Resumed):
    """Rows of documents become what their results are now; of other files, what is absent is added."""

    def is_due(self, table: Table, rows: int) -> bool:
        """Tell whether there is a row, or may be one to delete."""
        return rows > 0 or table in _REPLACED

    def _write(self, work: batch.Batch, table: Table, rows: DataFrame, prune: str) -> None:
        if table not in _REPLACED:
            super()._write(work, table, rows, prune)
            return
        changes = conform.operations(table, rows, batch.stored(work, table).select(*table.column_names))
        kept = load.keep(work.spark, changes, f"{work.area}/changes/{table.name}")
        if not kept.isEmpty():
            load.conform(work.spark, table, kept, prune)
