"""Blocks of documents, and the patients the documents are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.transforms import fhir, references
from airflow_lakehouse.spark.transforms.columns import with_columns
from airflow_lakehouse.spark.transforms.versions import newest_first
from airflow_lakehouse.tables import silver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA: Final = (
    f"subject {references.REFERENCE}, {references.CONTAINED}, content ARRAY<STRUCT<attachment: STRUCT<url: STRING>>>,"
    f" context STRUCT<encounter: ARRAY<{references.REFERENCE}>>"
)
LINK: Final = ("patient_id", "encounter_id", "document_reference_id")
AMBIGUOUS_LINK: Final = "AMBIGUOUS_LINK"
"""Flag: references to more than one patient name the document; none is taken."""


def document_links(rows: DataFrame) -> DataFrame:
    """Read DocumentReferences: which URL belongs to which patient.

    :param rows: rows of bronze_fhir_document_reference.
    :return: the same rows with the columns of a link, and ``urls``.
    """
    columns = {
        "document_reference_id": "resource_id",
        "patient_id": references.named_id("subject", "Patient"),
        "encounter_id": references.named_id("encounter", "Encounter"),
        "urls": "array_compact(transform(r.content, c -> c.attachment.url))",
    }
    read = references.with_references(
        fhir.read_body(rows, SCHEMA), {"subject": "r.subject", "encounter": "get(r.context.encounter, 0)"}
    )
    return with_columns(read, rows, columns, fhir.flags())


def linked_files(documents: DataFrame, links: DataFrame) -> DataFrame:
    """Return one row a document file that a DocumentReference names.

    A URL names a file when it is the file's URI, or its path from the root of the drop. A file that references to
    two patients name is linked to none of them: a document in the wrong record harms somebody.

    :param documents: ``source_system, source_uri``, one row each.
    :param links: winning rows of :func:`document_links`.
    :return: ``source_system, source_uri``, the link columns and ``ambiguous``.
    """
    from pyspark.sql import functions as F  # noqa: N812

    urls = links.select("source_system", *LINK, F.explode("urls").alias("url")).withColumn(
        "tail", F.regexp_replace("url", r"^(?:\./)+", "")
    )
    same_source = documents["source_system"] == urls["source_system"]
    named = (documents["source_uri"] == urls["url"]) | (
        ~urls["tail"].contains("://") & documents["source_uri"].endswith(F.concat(F.lit("/"), urls["tail"]))
    )
    pairs = documents.join(F.broadcast(urls.where(F.length("tail") > 0)), same_source & named).select(
        documents["source_system"], documents["source_uri"], *LINK
    )
    grouped = pairs.groupBy("source_system", "source_uri").agg(
        F.count_distinct("patient_id").alias("patients"), F.max(F.struct(*LINK)).alias("link")
    )
    return grouped.select(
        "source_system",
        "source_uri",
        *(F.when(F.col("patients") <= 1, F.col(f"link.{name}")).alias(name) for name in LINK),
        (F.col("patients") > 1).alias("ambiguous"),
    )


def blocks(rows: DataFrame, linked: DataFrame) -> DataFrame:
    """Conform blocks: one row a block of a document, whatever its file is called and however often it was sent.

    :param rows: rows of bronze_docs_text.
    :param linked: from :func:`linked_files`.
    :return: the columns of silver_fct_doc_blocks.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F  # noqa: N812

    target = silver.DOC_BLOCKS
    keep = target.keep or silver.KEEP_NEWEST
    joined = rows.join(linked, ["source_system", "source_uri"], "left")
    # Of two files with the same bytes the linked one counts, or the document would lose its patient.
    order = [F.col("document_reference_id").isNotNull().desc(), *newest_first(keep)]
    window = Window.partitionBy(*target.key).orderBy(*order)
    ambiguous = F.coalesce(F.col("ambiguous"), F.lit(False))
    return (
        joined.withColumn("_place", F.row_number().over(window))
        .where(F.col("_place") == 1)
        .withColumn("text", F.trim(F.regexp_replace("text", r"\s+", " ")))
        .withColumn(
            "flags", F.when(ambiguous, F.array(F.lit(AMBIGUOUS_LINK))).otherwise(F.array().cast("array<string>"))
        )
        .withColumn("version_id", F.lit(None).cast("string"))
        .withColumn("last_updated", F.lit(None).cast("timestamp"))
        .select(*target.column_names)
    )
