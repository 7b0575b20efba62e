"""Rows of a table replaced through PyIceberg in one commit, on what was read of it or not at all."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table import Transaction


class _LandedError(Exception):
    """The commit is there: the answer to it was lost, and asked again, the catalog called it outrun by itself."""


def swap(table: IcebergTable, rows: list[dict[str, Any]], where: BooleanExpression) -> None:
    """Put rows in the place of others, unless another run has committed since the table was read.

    Left to itself, PyIceberg would try again on top of that commit, without another look. Forbidden to, it deletes
    the files of a commit that was refused, also where that had been done and only the answer was lost: the table would
    be gone. So it may try once more, and what it then finds is judged here.

    :param table: as it was read.
    :param rows: values of its columns.
    :param where: which rows they replace.
    :raises CommitFailedException: when another run has committed.
    """
    import pyarrow as pa
    from pyiceberg.table import TableProperties

    content = pa.Table.from_pylist(rows, schema=table.schema().as_arrow())
    # This copy of the properties is in memory alone; the table keeps its own.
    table.metadata.properties[TableProperties.COMMIT_NUM_RETRIES] = "1"
    with warnings.catch_warnings(), suppress(_LandedError):
        # It tells that it copies on write, and that a first batch replaces nothing; both are meant.
        warnings.simplefilter("ignore", UserWarning)
        with table.transaction() as transaction:
            vars(transaction)["_rebuild_snapshot_updates"] = lambda: _judge(table, transaction)
            transaction.overwrite(content, overwrite_filter=where)


def _judge(table: IcebergTable, transaction: Transaction) -> None:
    """Say what became of a commit that was refused; the table has been read again by now."""
    from pyiceberg.exceptions import CommitFailedException

    # One of them is enough: where nothing had to be deleted, the deletion has made no snapshot.
    made = [producer._snapshot_id for producer in transaction._snapshot_producers]  # noqa: SLF001 - no other name for it
    if any(table.metadata.snapshot_by_id(snapshot) is not None for snapshot in made):
        raise _LandedError
    raise CommitFailedException(f"another run has committed to {'.'.join(table.name())} first")
