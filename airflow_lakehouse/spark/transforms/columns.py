"""Adding columns to bronze rows in one projection."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame


def with_columns(read: DataFrame, rows: DataFrame, columns: Mapping[str, str], flags: str) -> DataFrame:
    """Return the bronze columns without the text, and the new ones beside them.

    The text is left behind here: what follows shuffles rows, and would shuffle it along.

    :param read: the rows with ``r``.
    :param rows: the rows as they came.
    :param columns: name to SQL expression.
    :param flags: SQL expression that replaces the flags.
    """
    kept = [name for name in rows.columns if name not in ("flags", "body", *columns)]
    return read.selectExpr(*kept, f"{flags} AS flags", *(f"{sql} AS `{name}`" for name, sql in columns.items()))
