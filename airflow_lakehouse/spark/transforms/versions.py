"""Which version of a resource wins, as one total order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.parsers.fhir.lift import END
from airflow_lakehouse.parsers.fhir.reasons import UNKNOWN_MODIFIER
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

    from airflow_lakehouse.tables import Keep

WINNER: Final = "winner"
SUPERSEDED: Final = "superseded"
EXCLUDED: Final = "excluded"
CLASS: Final = "_class"

_DIGITS: Final = 64
"""As many as a versionId may have (https://hl7.org/fhir/R4/datatypes.html#id); no number of Spark has."""
VERSION_NUMBER: Final = (
    f"CASE WHEN version_id RLIKE '^(?:W/)?\"?[0-9]{{1,{_DIGITS}}}\"?{END}'"
    f" THEN lpad(translate(version_id, 'W/\"', ''), {_DIGITS}, '0') END"
)
"""versionId as a number, filled up with zeros: as it is, version 10 would sort before version 9.

Some servers write it as the ETag it also is, ``W/"3"``; that counts as 3.
"""


def newest_first(keep: Keep) -> list[Column]:
    """Return the order of a keep-rule, greatest first, nulls last.

    :param keep: the rule.
    """
    from pyspark.sql import functions as F

    return [F.col(name).desc_nulls_last() for name in keep.order_by]


_TIMELESS: Final = "deleted AND last_updated IS NULL"
_AFTER: Final = "_after"


def _placed(rows: DataFrame, identity: Sequence[str]) -> DataFrame:
    """Give deletions that say no time their place in the order.

    It is right after the newest version that was there when the deletion came: the sender deleted what it had sent.
    With nulls lowest, such a deletion would never delete anything that has a time; with the time of its arrival, it
    would delete what the sender made after it and sends late. One that says a version, and an older one than was
    there, deleted that older one, and stays below.

    :param rows: with ``last_updated``, ``version_number``, ``ingested_at``, ``deleted`` and the identity.
    :param identity: columns that identify a resource.
    :return: the same rows, ``last_updated`` and ``version_number`` filled in, and ``_after``, true where they were.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    until_then = (
        Window.partitionBy(*identity).orderBy("ingested_at").rangeBetween(Window.unboundedPreceding, Window.currentRow)
    )
    # Without the deletions themselves: one that says a version and no time is no version that was there before it.
    there = F.when(~F.expr(_TIMELESS), F.struct("last_updated", "version_number"))
    told = rows.withColumn("_known", F.when(F.expr(_TIMELESS), F.max(there).over(until_then)))
    is_newest = F.coalesce(F.col("version_number") >= F.col("_known.version_number"), F.lit(True))
    after = F.coalesce(
        is_newest & (F.col("_known.last_updated").isNotNull() | F.col("_known.version_number").isNotNull()),
        F.lit(False),
    )
    return told.withColumn(_AFTER, after).select(
        *(name for name in rows.columns if name not in ("last_updated", "version_number")),
        F.coalesce("last_updated", F.when(F.col(_AFTER), F.col("_known.last_updated"))).alias("last_updated"),
        F.coalesce("version_number", F.when(F.col(_AFTER), F.col("_known.version_number"))).alias("version_number"),
        _AFTER,
    )


def contested(rows: DataFrame, key: Sequence[str], also: Column) -> DataFrame:
    """Return the rows that share their key with another row, and the rows that must be looked at anyway.

    Nearly every key of a drop occurs once. To sort all rows for the few that do not would cost several times what
    counting hashes does. A hash may be shared by chance: then rows are looked at in vain, never overlooked.

    :param rows: with the columns of the key.
    :param key: columns that identify a row.
    :param also: condition under which a row, and what shares its key, is looked at; never null.
    """
    from pyspark.sql import functions as F

    hashed = rows.withColumn("_hash", F.xxhash64(*key))
    several = (F.count("*") > 1) | F.bool_or(also)
    found = hashed.groupBy("_hash").agg(several.alias("_several")).where("_several").select("_hash")
    return hashed.join(found, "_hash", "left_semi").drop("_hash")


def losers(rows: DataFrame, identity: Sequence[str], keep: Keep) -> DataFrame:
    """Tell which rows are superseded, and which silver has no place for; every other row is its resource's winner.

    The order is the keep-rule's; a deletion without a time stands after the newest version that was there when it came,
    and one that nothing but its hash tells from a version wins over it. A row without an id cannot be told from others
    and is excluded. So is a deletion that wins: it supersedes the versions before it, and leaves nothing. A version
    after the deletion wins over it: the resource is back. So is a version with a modifier nobody here understands,
    which may turn its meaning round (https://hl7.org/fhir/R4/extensibility.html#modifierExtension); the one before it
    has lost its place all the same.

    Only the columns that decide are looked at, so the text of the resources is neither read nor moved.

    :param rows: bronze rows.
    :param identity: columns that identify a resource.
    :param keep: the rule.
    :return: :data:`airflow_lakehouse.tables.bronze.RECORD_KEY` of these rows, and ``_class``.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    deciding = {*identity, *keep.order_by, *bronze.RECORD_KEY, "version_id", "deleted"} & set(rows.columns)
    held_back = F.col("deleted") | F.array_contains("flags", UNKNOWN_MODIFIER)
    narrow = rows.select(*sorted(deciding), held_back.alias("held_back"))
    narrow = narrow.withColumn("version_number", F.expr(VERSION_NUMBER))
    order = newest_first(keep)
    # Between what was sent at once, a deletion is the last word; a hash would toss a coin.
    order.insert(keep.order_by.index("ingested_at") + 1, F.col("deleted").desc())
    # After time and version, before what only tells one delivery from another.
    order.insert(keep.order_by.index("version_number") + 1, F.col(_AFTER).desc())
    place = F.row_number().over(Window.partitionBy(*identity).orderBy(*order))
    nameless = F.lit(False)
    for name in identity:
        nameless = nameless | F.col(name).isNull()
    doubtful = contested(narrow, identity, nameless | F.col("held_back"))
    class_ = (
        F.when(nameless, F.lit(EXCLUDED))
        .when(F.col("_place") > 1, F.lit(SUPERSEDED))
        .when(F.col("held_back"), F.lit(EXCLUDED))
        .otherwise(F.lit(WINNER))
    )
    classified = _placed(doubtful, identity).withColumn("_place", place).select(*bronze.RECORD_KEY, class_.alias(CLASS))
    return classified.where(F.col(CLASS) != WINNER)


def winners(rows: DataFrame, lost: DataFrame) -> DataFrame:
    """Return the rows that are not among the losers.

    :param rows: bronze rows.
    :param lost: from :func:`losers`; few, as a rule, and sent to the rows.
    """
    return rows.join(lost.select(*bronze.RECORD_KEY), list(bronze.RECORD_KEY), "left_anti")
