"""Telling that one id stands for two: versions of a resource that are about different patients.

Sources reuse ids, and generators of data give one out twice. Which of the two a row should be about nobody can tell
from its id, so the newest is taken, as ever, and the row says that there was another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.parsers.fhir.lift import STRICT_JSON
from airflow_lakehouse.spark.transforms import references
from airflow_lakehouse.spark.transforms.versions import CLASS, SUPERSEDED
from airflow_lakehouse.tables.bronze import RECORD_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import DataFrame

ID_REUSED: Final = "ID_REUSED"
"""Flag: an older version with this id is about another patient (a Patient: of other birth date and family name)."""
_HASH: Final = "body_sha256"


@dataclass(frozen=True)
class Subject:
    """How to tell whom a resource is about.

    :param schema: fields to read, as a Spark schema.
    :param who: SQL expression of what tells persons apart, with ``r`` and ``subject``.
    :param differs: SQL condition that ``old.who`` and ``new.who`` are two persons; null where that is not known.
    :param elements: references that ``who`` needs taken apart, as for
        :func:`airflow_lakehouse.spark.transforms.references.with_references`.
    """

    schema: str
    who: str
    differs: str
    elements: Mapping[str, str] = field(default_factory=dict)


PATIENT: Final = Subject(
    "birthDate STRING, name ARRAY<STRUCT<family: STRING>>",
    "struct(r.birthDate AS birth, lower(get(r.name, 0).family) AS family)",
    "old.who.birth <> new.who.birth AND old.who.family <> new.who.family",
)
"""A person may be born on another day, or have another name, after a correction; hardly both at once."""
REFERRED: Final = Subject(
    f"subject {references.REFERENCE}, {references.CONTAINED}",
    references.named_id("subject", "Patient"),
    "old.who <> new.who",
    {"subject": "r.subject"},
)


def changed(rows: DataFrame, lost: DataFrame, identity: Sequence[str]) -> DataFrame:
    """Return the superseded rows whose text is not that of the row that won, without reading any.

    :param rows: live bronze rows.
    :param lost: from :func:`airflow_lakehouse.spark.transforms.versions.losers`.
    :param identity: columns that identify a resource.
    :return: the identity, and the :data:`RECORD_KEY` of both as ``old`` and ``new``.
    """
    from pyspark.sql import functions as F

    narrow = rows.select(*identity, *RECORD_KEY, _HASH)
    classified = narrow.join(lost, list(RECORD_KEY), "left")
    key = F.struct(*RECORD_KEY)
    new = classified.where(F.col(CLASS).isNull()).select(*identity, key.alias("new"), F.col(_HASH).alias("_new"))
    old = classified.where(F.col(CLASS) == SUPERSEDED).select(*identity, key.alias("old"), F.col(_HASH).alias("_old"))
    return old.join(new, list(identity)).where("_old <> _new").select(*identity, "old", "new")


def reused(rows: DataFrame, pairs: DataFrame, identity: Sequence[str], about: Subject) -> DataFrame:
    """Return the resources of which an older version is about somebody else.

    :param rows: live bronze rows.
    :param pairs: from :func:`changed`; few.
    :param identity: columns that identify a resource.
    :param about: whom they are about.
    """
    from pyspark.sql import functions as F

    def read(side: str) -> DataFrame:
        mine = pairs.select(F.col(f"{side}.*")).distinct()
        found = rows.join(mine, list(RECORD_KEY), "left_semi").withColumn(
            "r", F.from_json("body", about.schema, STRICT_JSON)
        )
        known = references.with_references(found, about.elements)
        return known.select(F.struct(*RECORD_KEY).alias(side), F.expr(about.who).alias(f"{side}_who"))

    both = pairs.join(read("old"), "old").join(read("new"), "new")
    named = both.select(
        *identity,
        F.struct(F.col("old_who").alias("who")).alias("old"),
        F.struct(F.col("new_who").alias("who")).alias("new"),
    )
    return named.where(about.differs).select(*identity).distinct()


def flagged(rows: DataFrame, found: DataFrame, identity: Sequence[str]) -> DataFrame:
    """Flag the rows of some resources.

    :param rows: current versions.
    :param found: from :func:`reused`.
    :param identity: columns that identify a resource.
    """
    from pyspark.sql import functions as F

    marked = rows.join(found.withColumn("_reused", F.lit(True)), list(identity), "left")
    flags = F.when(F.col("_reused"), F.array_append("flags", ID_REUSED)).otherwise(F.col("flags"))
    return marked.withColumn("flags", flags).select(*rows.columns)
