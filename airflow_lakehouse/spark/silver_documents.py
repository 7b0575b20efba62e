"""silver_fct_doc_blocks: the text of documents, beside the patient they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark import conform, delta
from airflow_lakehouse.spark.transforms.doc_blocks import blocks, document_links, linked_files
from airflow_lakehouse.tables import bronze, silver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from airflow_lakehouse.spark.conform import Outcome, Work

TARGET: Final = silver.DOC_BLOCKS
SOURCES: Final = (bronze.DOCS_TEXT, bronze.DOCUMENT_REFERENCE)
_FILE: Final = ("source_system", "source_uri")
_DOCUMENT: Final = ("source_system", "doc_id")


def refresh(work: Work, seen: delta.Watermark | None, now: delta.Watermark) -> Outcome:
    """Bring the table up to date.

    :param work: the run.
    :param seen: its watermark.
    :param now: the watermark this run leaves.
    """
    live = work.live(bronze.DOCS_TEXT)
    links = _links(work)
    linked = work.keep(linked_files(live.select(*_FILE).distinct(), links), "doc_links")
    documents = _affected(work, live, linked, seen, now)
    wanted = work.keep(blocks(conform.only(live, documents, _DOCUMENT), linked), "doc_blocks")
    changes = None
    if not conform.is_empty(work, TARGET):
        present = conform.only(work.read(TARGET), documents, _DOCUMENT)
        changes = conform.operations(TARGET, wanted, present)
    return conform.Outcome(conform.apply(work, TARGET, changes, wanted, now))


def _links(work: Work) -> DataFrame:
    """Return the current version of every DocumentReference."""
    rows, _ = conform.current(work, work.live(bronze.DOCUMENT_REFERENCE), silver.KEEP_NEWEST, "doc_references")
    return document_links(rows)


def _affected(
    work: Work, live: DataFrame, linked: DataFrame, seen: delta.Watermark | None, now: delta.Watermark
) -> DataFrame | None:
    """Return the documents that are new, replaced, or whose link is not the one silver has; None for all."""
    from pyspark.sql import functions as F  # noqa: N812

    if work.full or seen is None or seen.dead != now.dead:
        return None
    text = bronze.DOCS_TEXT
    added = delta.added_rows(work.spark, work.catalog, text, seen.snapshot(text), now.snapshot(text))
    if added is None:
        return None
    relinked = live.select(*_DOCUMENT, "source_uri").distinct().join(linked, list(_FILE), "left")
    known = work.read(TARGET).select(*_DOCUMENT, F.col("document_reference_id").alias("known")).distinct()
    moved = relinked.join(known, list(_DOCUMENT)).where(~F.col("known").eqNullSafe(F.col("document_reference_id")))
    return added.select(*_DOCUMENT).unionByName(moved.select(*_DOCUMENT)).distinct()
