"""Reading what bronze keeps beside the text of a resource, with Spark's own JSON reader.

Only names and ids are read here: Spark's reader changes numbers (12345678901234567890.12 becomes
1.2345678901234567E19), so the text itself is carried through untouched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.parsers.fhir import bundle, reasons
from airflow_lakehouse.parsers.fhir.not_json import why_not_json
from airflow_lakehouse.parsing.model import REJECTED
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

STRICT_JSON: Final = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": "_corrupt",
    # Spark takes NaN, single quotes and the like for JSON unless told otherwise.
    "allowNonNumericNumbers": "false",
    "allowSingleQuotes": "false",
    # A base64 payload is one string; the reader's own limit of 20 MB would call the resource broken.
    "maxStringLen": str(2**31 - 1),
}
"""Options of ``from_json`` under which it reads JSON and nothing else."""

END: Final = "(?![^.]|[.])"
"""The very end of a text; ``$`` stands before a last line end, too."""
INSTANT: Final = (
    r"^(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})" + END
)
"""A FHIR instant: date, time to the second and offset (https://hl7.org/fhir/R4/datatypes.html#instant)."""
_FIRST: Final = "TIMESTAMP '0001-01-01 00:00:00Z'"
_LAST: Final = "TIMESTAMP '9999-12-31 23:59:59.999999Z'"

_ID: Final = f"^[A-Za-z0-9.-]{{1,64}}{END}"
_TYPE_NAME: Final = f"^[A-Z][A-Za-z]{{1,63}}{END}"
_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE: Final = f"{_HIGH}(?!{_LOW})|(?<!{_HIGH}){_LOW}"
# What the reader makes of a lone surrogate, and what parts a component's id from its observation's.
_NO_ID: Final = r"[?#]"
_HEAD: Final = (
    "_corrupt STRING, resourceType STRING, id STRING, meta STRUCT<versionId: STRING, lastUpdated: STRING>,"
    " modifierExtension STRING"
)
_MODIFIED: Final = "(?:^|[^`A-Za-z])modifierExtension: (?:ARRAY<)?(?:OBJECT|VARIANT)"
_LENIENT: Final = "_corrupt STRING, resourceType STRING, id STRING"


def lift(records: DataFrame) -> DataFrame:
    """Add to each record its table and the columns bronze has for it.

    :param records: as :meth:`airflow_lakehouse.parsing.RecordParser.lift` gets them.
    :return: the same rows, with ``target`` null and a ``reason`` where the record is no resource.
    """
    from pyspark.sql import functions as F

    head = F.from_json("body", _HEAD, STRICT_JSON)
    # A second reading, of the few records whose first one failed: broken JSON, or only a meta of the wrong kind?
    second = F.when(F.col("head._corrupt").isNotNull(), F.from_json("body", _LENIENT, STRICT_JSON))
    read = records.withColumn("head", head).withColumn("lenient", second)
    return (
        read.withColumn("is_json", F.col("head._corrupt").isNull() | F.col("lenient._corrupt").isNull())
        .withColumn("deletes", F.col("attributes").getItem(bundle.DELETED))
        .withColumn("resource_type", _resource_type())
        .withColumn("sent_id", _sent_id())
        .withColumn("resource_id", F.when(~F.coalesce(F.col("sent_id").rlike(_NO_ID), F.lit(False)), F.col("sent_id")))
        .withColumn("reason", _reason())
        .withColumn("updated", _last_updated())
        .withColumn("keys", F.json_object_keys("body"))
        .select(
            "file_no",
            "position",
            "entry",
            "body",
            _rejected(),
            "resource_type",
            "resource_id",
            "reason",
            F.when(F.col("reason").isNull(), _target()).alias("target"),
            F.lit(None).cast("string").alias("detail"),
            F.coalesce("head.meta.versionId", F.col("attributes").getItem(bundle.DELETED_VERSION)).alias("version_id"),
            F.col("updated").alias("last_updated"),
            F.col("deletes").isNotNull().alias("deleted"),
            F.from_json(F.col("attributes").getItem(bundle.REFS), "map<string,string>").alias("bundle_refs"),
            F.sha2(F.col("body"), 256).alias("body_sha256"),
            _flags().alias("flags"),
        )
    )


def as_timestamp(text: str) -> str:
    """Return the instant of a text that says date, time and offset; null for one that cannot be.

    An offset may carry the first or last day out of the years 1 to 9999, beyond which Python and most engines have no
    time: that is null, too. A leap second (``23:59:60``), which FHIR allows and no engine has, is the second after it.

    :param text: SQL expression of the text, which matches :data:`INSTANT`.
    """
    plain = f"try_cast({text} AS TIMESTAMP)"
    leap = f"try_cast(overlay({text} PLACING '59' FROM 18) AS TIMESTAMP) + INTERVAL 1 SECOND"
    return (
        f"CASE WHEN left({text}, 4) IN ('0001', '9999') THEN"
        f" CASE WHEN {plain} BETWEEN {_FIRST} AND {_LAST} THEN {plain} END"
        f" WHEN substr({text}, 18, 2) = '60' THEN {leap} ELSE {plain} END"
    )


def _resource_type() -> Column:
    from pyspark.sql import functions as F

    return F.coalesce(
        F.split_part(F.col("deletes"), F.lit("/"), F.lit(1)),
        F.col("head.resourceType"),
        F.col("lenient.resourceType"),
    )


def _sent_id() -> Column:
    from pyspark.sql import functions as F

    return F.coalesce(
        F.split_part(F.col("deletes"), F.lit("/"), F.lit(2)),
        F.nullif(F.col("head.id"), F.lit("")),
        F.nullif(F.col("lenient.id"), F.lit("")),
        F.col("attributes").getItem(bundle.FULL_URL_ID),
    )


def _reason() -> Column:
    from pyspark.sql import functions as F

    is_name = F.coalesce(F.col("resource_type"), F.lit("")).rlike(_TYPE_NAME)
    return F.when(~F.col("is_json"), why_not_json(F.col("body"))).when(~is_name, F.lit(reasons.NO_RESOURCE_TYPE))


def _rejected() -> Column:
    """Return what was rejected when the file was cut; what is not JSON, with the same codes as here."""
    from pyspark.sql import functions as F

    rejected = F.col(REJECTED)
    # Cast, not decoded: what is not UTF-8 either must not fail the load.
    reason = why_not_json(rejected["raw"].cast("string")).alias("reason")
    told = F.struct(reason, rejected["detail"].alias("detail"), rejected["raw"].alias("raw"))
    return F.when(rejected["reason"] == reasons.INVALID_JSON, told).otherwise(rejected).alias(REJECTED)


def _target() -> Column:
    from pyspark.sql import functions as F

    target = F.lit(bronze.OTHER.name)
    for resource_type, table in bronze.FHIR_TABLES.items():
        target = F.when(F.col("resource_type") == resource_type, F.lit(table.name)).otherwise(target)
    return target


def _last_updated() -> Column:
    from pyspark.sql import functions as F

    text = f"coalesce(head.meta.lastUpdated, attributes['{bundle.DELETED_AT}'])"
    return F.when(F.expr(text).rlike(INSTANT), F.expr(as_timestamp(text)))


def _flags() -> Column:
    from pyspark.sql import functions as F

    bad_meta = F.col("lenient").isNotNull() | (F.col("head.meta.lastUpdated").isNotNull() & F.col("updated").isNull())
    from_full_url = F.col("attributes").getItem(bundle.FULL_URL_ID).isNotNull()
    at_the_root = F.coalesce(F.col("head.modifierExtension"), F.lit("[]")) != "[]"
    # The plain searches first: to take every record apart would take longer than all the rest of a load. A letter of a
    # key may be written as \u006d, which nobody does who means well; most records have no escape of that kind at all.
    has_escape = F.col("body").contains(r"\u")
    is_escaped = has_escape & F.col("body").rlike(r"\\u00[4-7]")
    named = F.col("body").contains("modifierExtension") | is_escaped
    shape = F.schema_of_variant(F.try_parse_json("body"))
    # A record too large to have a shape is held back: whether it is modified, nobody can tell.
    in_a_part = F.coalesce(F.when(named, F.coalesce(shape.rlike(_MODIFIED), F.lit(True))), F.lit(False))
    has_surrogate = has_escape & F.col("body").rlike(_LONE_SURROGATE)
    is_doubled = F.array_size("keys") != F.array_size(F.array_distinct("keys"))
    codes = {
        reasons.MISSING_ID: F.col("sent_id").isNull(),
        reasons.BAD_ID: ~F.col("sent_id").rlike(_ID),
        reasons.ID_FROM_FULL_URL: from_full_url,
        reasons.UNKNOWN_MODIFIER: at_the_root | in_a_part,
        reasons.BAD_META: bad_meta,
        reasons.LONE_SURROGATE: has_surrogate,
        reasons.DUPLICATE_KEY: is_doubled,
    }
    # Removed rather than compacted: that has a lambda, and Spark would interpret all conditions for it, row by row.
    every = F.array(*(F.when(holds, F.lit(code)).otherwise(F.lit("")) for code, holds in codes.items()))
    return F.array_remove(every, "")
