"""Every page of every document is in exactly one class: expected = ok + blank + failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_lakehouse.exceptions import ReconciliationError
from airflow_lakehouse.ocr.blocks import STATUSES
from airflow_lakehouse.spark.bronze.counts import record
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame

_SHOWN = 5


def check_pages(catalog: Catalog, stored: DataFrame, run_id: str) -> None:
    """Count the pages of the documents of a load by status, and check that none is missing or there twice.

    :param catalog: the catalog.
    :param stored: their rows in bronze_docs_pages.
    :param run_id: the run.
    :raises ReconciliationError: when the pages of a document do not add up; the counts were recorded.
    """
    from pyspark.sql import functions as F

    each = stored.groupBy(*bronze.FILE_KEY).agg(
        F.max("pages_in_document").alias("expected"),
        F.count_distinct("page").alias("pages"),
        F.count("*").alias("rows"),
        *(F.count_if(F.col("status") == status).alias(status) for status in STATUSES),
    )
    added = F.expr(" + ".join(STATUSES))
    wrong = (F.col("expected") != F.col("rows")) | (F.col("pages") != F.col("rows")) | (added != F.col("rows"))
    names = ("expected", *STATUSES)
    told = each.agg(
        *(F.sum(name).alias(name) for name in names),
        F.count_if(wrong).alias("wrong"),
        F.slice(F.collect_list(F.when(wrong, F.col("source_uri"))), 1, _SHOWN).alias("where"),
    ).first()
    if told is None or told["expected"] is None:
        return
    table = bronze.DOCS_PAGES.name
    record(catalog, [("bronze", table, f"pages_{name}", told[name]) for name in names], run_id)
    if told["wrong"]:
        raise ReconciliationError(
            f"the pages of {told['wrong']} documents do not add up, such as {', '.join(told['where'])}",
            remedy="delete their results below the OCR root and read them again",
        )
