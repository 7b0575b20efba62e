"""Which version of a resource wins, as one total order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

    from airflow_lakehouse.tables import Keep

WINNER: Final = "winner"
SUPERSEDED: Final = "superseded"
EXCLUDED: Final = "excluded"
CLASS: Final = "_class"

VERSION_NUMBER: Final = "CASE WHEN version_id RLIKE '^[0-9]{1,38}$' THEN try_cast(version_id AS DECIMAL(38,0)) END"
"""versionId as a number; as text, version 10 would sort before version 9."""


def newest_first(keep: Keep) -> list[Column]:
    """Return the order of a keep-rule, greatest first, nulls last.

    :param keep: the rule.
    """
    from pyspark.sql import functions as F  # noqa: N812

    return [F.col(name).desc_nulls_last() for name in keep.order_by]


def classify(rows: DataFrame, identity: Sequence[str], keep: Keep) -> DataFrame:
    """Tell the winner of each resource, what it supersedes, and what silver has no place for.

    A row without an id cannot be told from others and is excluded. So is a deletion that wins: it supersedes the
    versions before it, and leaves nothing. A version after the deletion wins over it: the resource is back.

    Only the columns that decide are looked at, so the text of the resources is neither read nor moved.

    :param rows: bronze rows.
    :param identity: columns that identify a resource.
    :param keep: the rule.
    :return: :data:`airflow_lakehouse.tables.bronze.RECORD_KEY` of every row, and ``_class``.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F  # noqa: N812

    deciding = {*identity, *keep.order_by, *bronze.RECORD_KEY, "version_id", "deleted"} & set(rows.columns)
    narrow = rows.select(*sorted(deciding)).withColumn("version_number", F.expr(VERSION_NUMBER))
    place = F.row_number().over(Window.partitionBy(*identity).orderBy(*newest_first(keep)))
    nameless = F.lit(False)
    for name in identity:
        nameless = nameless | F.col(name).isNull()
    class_ = (
        F.when(nameless, F.lit(EXCLUDED))
        .when(F.col("_place") > 1, F.lit(SUPERSEDED))
        .when(F.col("deleted"), F.lit(EXCLUDED))
        .otherwise(F.lit(WINNER))
    )
    return narrow.withColumn("_place", place).select(*bronze.RECORD_KEY, class_.alias(CLASS))


def winners(rows: DataFrame, losers: DataFrame) -> DataFrame:
    """Return the rows that are not among the losers.

    :param rows: bronze rows.
    :param losers: rows of :func:`classify` whose class is not the winner's; few, as a rule, and sent to the rows.
    """
    return rows.join(losers.select(*bronze.RECORD_KEY), list(bronze.RECORD_KEY), "left_anti")
