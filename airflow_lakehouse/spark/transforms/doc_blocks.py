"""Blocks of documents, and the patients the documents are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.ocr.reviews import REJECTED
from airflow_lakehouse.spark.transforms import attachments, fhir, references
from airflow_lakehouse.spark.transforms.columns import with_columns
from airflow_lakehouse.spark.transforms.versions import newest_first
from airflow_lakehouse.tables import silver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA: Final = (
    f"subject {references.REFERENCE}, encounter {references.REFERENCE}, {references.CONTAINED},"
    f" {attachments.FIELDS},"
    f" context STRUCT<encounter: ARRAY<{references.REFERENCE}>>"
)
DOCUMENT: Final = ("source_system", "doc_id")
"""What identifies a document: its content, and who sent it."""
LINK: Final = ("patient_id", "encounter_id", "document_reference_id", "diagnostic_report_id")
AMBIGUOUS_LINK: Final = "AMBIGUOUS_LINK"
"""Flag: records of more than one patient name or hold the document; none is taken."""
AMBIGUOUS_ENCOUNTER: Final = "AMBIGUOUS_ENCOUNTER"
"""Flag: records of more than one encounter name or hold the document; none is taken."""


def document_links(rows: DataFrame) -> DataFrame:
    """Read DocumentReferences and DiagnosticReports: which documents they name, and of which patient.

    :param rows: rows of a bronze FHIR table, of these types.
    :return: the same rows with the columns of a link, and ``urls``.
    """
    columns = {
        "patient_id": references.named_id("subject", "Patient"),
        "encounter_id": references.named_id("encounter", "Encounter"),
        "document_reference_id": "CASE WHEN resource_type = 'DocumentReference' THEN resource_id END",
        "diagnostic_report_id": "CASE WHEN resource_type = 'DiagnosticReport' THEN resource_id END",
        "urls": f"array_compact(transform({attachments.every('url: STRING')}, a -> a.url))",
    }
    read = references.with_references(
        fhir.read_body(rows, SCHEMA),
        {"subject": "r.subject", "encounter": "coalesce(r.encounter, get(r.context.encounter, 0))"},
    )
    return with_columns(read, rows, columns, fhir.flags())


def named_by_url(files: DataFrame, links: DataFrame) -> DataFrame:
    """Return which records name a document by its URL.

    A URL names a file when it is the file's URI, or its path from the folder of the file that holds the record, or
    from a folder above it up to the root of the drop; the nearest counts. So ``report.pdf`` is never the report of
    another day's patient.

    :param files: ``source_system, source_uri, doc_id``, one row each.
    :param links: winning rows of :func:`document_links`.
    :return: ``source_system, doc_id`` and the columns of a link.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    urls = links.select("source_system", F.col("source_uri").alias("_from"), *LINK, F.explode("urls").alias("_url"))
    plain = urls.withColumn("_url", F.regexp_replace("_url", "^s3[an]:", "s3:")).withColumn(
        "_tail", F.concat(F.lit("/"), F.regexp_replace("_url", r"^(?:\./)+", ""))
    )
    above = F.expr("startswith(_from, left(source_uri, length(source_uri) - length(_tail) + 1))")
    named = (F.col("source_uri") == F.col("_url")) | (
        ~F.col("_url").contains("://") & (F.length("_tail") > 1) & F.col("source_uri").endswith(F.col("_tail")) & above
    )
    pairs = files.join(F.broadcast(plain.withColumnRenamed("source_system", "_system")), named).where(
        F.col("source_system") == F.col("_system")
    )
    nearest = Window.partitionBy("source_system", "_from", "_url", *LINK).orderBy(
        F.length("source_uri").desc(), "source_uri"
    )
    return pairs.withColumn("_place", F.row_number().over(nearest)).where(F.col("_place") == 1).select(*DOCUMENT, *LINK)


def linked_documents(pairs: DataFrame) -> DataFrame:
    """Return one row a document that records name or hold.

    A document that records of two patients name belongs to none of them: a document in the wrong record harms
    somebody.

    :param pairs: ``source_system, doc_id`` and the columns of a link, one row a record.
    :return: ``source_system, doc_id``, the columns of a link and ``flags``.
    """
    from pyspark.sql import functions as F

    grouped = pairs.groupBy(*DOCUMENT).agg(
        F.count_distinct("patient_id").alias("_patients"),
        F.count_distinct("encounter_id").alias("_encounters"),
        *(F.max(name).alias(name) for name in LINK),
    )
    one, same_stay = F.col("_patients") <= 1, F.col("_encounters") <= 1
    flags = F.array(F.when(~one, F.lit(AMBIGUOUS_LINK)), F.when(one & ~same_stay, F.lit(AMBIGUOUS_ENCOUNTER)))
    taken = {name: F.when(one, F.col(name)) for name in LINK}
    taken["encounter_id"] = F.when(one & same_stay, F.col("encounter_id"))
    return grouped.select(
        *DOCUMENT, *(column.alias(name) for name, column in taken.items()), F.array_compact(flags).alias("flags")
    )


def blocks(rows: DataFrame, linked: DataFrame) -> DataFrame:
    """Conform blocks: one row a block of a document, whatever its file is called and however often it was sent.

    :param rows: rows of bronze_docs_text, each with the source system the document is of.
    :param linked: from :func:`linked_documents`.
    :return: the columns of silver_fct_doc_blocks.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    target = silver.DOC_BLOCKS
    keep = target.keep or silver.KEEP_NEWEST
    # By document, not by block: under two names it may have been read by two engines, whose blocks would mix.
    by_file = [order for name, order in zip(keep.order_by, newest_first(keep), strict=True) if name != "block_id"]
    window = Window.partitionBy(*DOCUMENT).orderBy(*by_file)
    return (
        rows.join(linked, list(DOCUMENT), "left")
        .withColumn("_place", F.dense_rank().over(window))
        .where((F.col("_place") == 1) & ~F.col("review").eqNullSafe(REJECTED))
        .withColumn("text", F.trim(F.regexp_replace("text", r"\s+", " ")))
        .withColumn("flags", F.coalesce("flags", F.array().cast("array<string>")))
        .withColumn("version_id", F.lit(None).cast("string"))
        .withColumn("last_updated", F.lit(None).cast("timestamp"))
        .select(*target.column_names)
    )


def manifest_links(rows: DataFrame) -> DataFrame:
    """Read manifests: which documents they name, and of which patient.

    :param rows: rows of bronze_docs_manifest.
    :return: the columns of a link beside ``source_system``, ``source_uri`` and ``urls``.
    """
    from pyspark.sql import functions as F

    unnamed = [F.lit(None).cast("string").alias(name) for name in LINK if name not in rows.columns]
    named = [name for name in LINK if name in rows.columns]
    return rows.select("source_system", "source_uri", *named, *unnamed, F.array("document").alias("urls"))
