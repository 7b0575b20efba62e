"""silver_fct_doc_blocks: the text of documents, beside the patient they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.documents.attachments import ATTACHED, HOLDERS
from airflow_lakehouse.spark.silver import conform, delta
from airflow_lakehouse.spark.transforms import doc_blocks
from airflow_lakehouse.spark.transforms.attachments import EXTRACTED
from airflow_lakehouse.spark.transforms.doc_blocks import DOCUMENT, LINK
from airflow_lakehouse.tables import bronze, silver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from airflow_lakehouse.spark.silver.conform import Outcome
    from airflow_lakehouse.spark.silver.work import Work

TARGET: Final = silver.DOC_BLOCKS


def refresh(work: Work, seen: delta.Watermark | None, now: delta.Watermark) -> Outcome:
    """Bring the table up to date.

    :param work: the run.
    :param seen: its watermark.
    :param now: the watermark this run leaves.
    """
    links = work.keep(_links(work), "doc_links")
    held = work.keep(_held(work, links), "doc_held")
    live = _of_senders(work.live(bronze.DOCS_TEXT), held)
    files = live.select(*DOCUMENT, "source_uri").distinct()
    told = work.private(TARGET, doc_blocks.manifest_links(work.live(bronze.DOCS_MANIFEST)), LINK)
    naming = links.select(*told.columns).unionByName(told)
    pairs = doc_blocks.named_by_url(files, naming).unionByName(held)
    linked = work.keep(doc_blocks.linked_documents(pairs), "doc_linked")
    documents = _affected(work, files, held, linked, seen)
    made = doc_blocks.blocks(conform.only(live, documents, DOCUMENT), linked)
    rest = [name for name in TARGET.column_names if name not in LINK]
    wanted = work.keep(work.private(TARGET, made, rest), "doc_blocks")
    present = conform.only(work.read(TARGET), documents, DOCUMENT)
    return conform.Outcome(conform.stage(work, TARGET, wanted, present, now))


def _links(work: Work) -> DataFrame:
    """Return the current version of every record that may name or hold a document."""
    parts = []
    for table, which in HOLDERS:
        rows, _ = conform.current(work, work.live(table).where(which), silver.KEEP_NEWEST, f"{table.name}_links")
        found = doc_blocks.document_links(rows).select(*bronze.RECORD_KEY, "source_system", *LINK, "urls")
        parts.append(work.private(TARGET, found, LINK))
    return parts[0].unionByName(parts[1])


def _held(work: Work, links: DataFrame) -> DataFrame:
    """Return the documents that current records hold themselves: ``source_system, doc_id`` and the link."""
    extracted = work.read(bronze.ATTACHMENTS).where(f"outcome = '{EXTRACTED}'").select(*bronze.RECORD_KEY, "doc_id")
    return extracted.join(links, list(bronze.RECORD_KEY)).select(*DOCUMENT, *LINK)


def _of_senders(rows: DataFrame, held: DataFrame) -> DataFrame:
    """Return rows of bronze_docs_text; those of extracted files once for each source system that holds the document.

    One that no current record holds any more is left out: what its sender took back must go.
    """
    own = rows.where(f"source_system <> '{ATTACHED}'")
    taken = rows.where(f"source_system = '{ATTACHED}'").drop("source_system")
    return own.unionByName(taken.join(held.select(*DOCUMENT).distinct(), "doc_id"))


def _affected(
    work: Work, files: DataFrame, held: DataFrame, linked: DataFrame, seen: delta.Watermark | None
) -> DataFrame | None:
    """Return the documents that are new, replaced, gone, or linked otherwise than silver says; None for all."""
    from pyspark.sql import functions as F

    if work.full or seen is None or seen.dead != work.bronze.dead:
        return None
    text = bronze.DOCS_TEXT
    if work.again is not None:
        # Whoever sent an extracted file is told by the records that hold it, not by its own rows.
        sent = _of_senders(work.again.of_days(work.read(text)), held)
        return work.again.of_sender(sent.select(*DOCUMENT)).distinct()
    added = delta.added_rows(work.spark, work.catalog, text, seen.snapshot(text), work.bronze.snapshot(text))
    if added is None:
        return None
    there = files.select(*DOCUMENT).distinct().join(linked, list(DOCUMENT), "left")
    wanted = there.select(*DOCUMENT, F.struct(*LINK, F.coalesce("flags", F.array())).alias("wanted"))
    known = work.read(TARGET).select(*DOCUMENT, F.struct(*LINK, "flags").alias("known")).distinct()
    # A struct is never null, so a document that only one side has differs, too.
    moved = wanted.join(known, list(DOCUMENT), "full_outer").where(~F.col("known").eqNullSafe(F.col("wanted")))
    return _of_senders(added, held).select(*DOCUMENT).unionByName(moved.select(*DOCUMENT)).distinct()
