"""Which version of a resource wins, as one total order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
    """Add ``_class``: the winner of each resource, what it supersedes, and what silver has no place for.

    A row without an id cannot be told from others and is excluded. So is a deletion that wins: it supersedes the
    versions before it, and leaves nothing. A version after the deletion wins over it: the resource is back.

    :param rows: with ``deleted`` and the columns of the keep-rule.
    :param identity: columns that identify a resource.
    :param keep: the rule.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F  # noqa: N812

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
    return rows.withColumn("_place", place).withColumn(CLASS, class_).drop("_place")
