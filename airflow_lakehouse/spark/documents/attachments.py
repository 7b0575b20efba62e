"""PDFs out of bronze: written once per content below the OCR root, where the OCR stage finds them.

The raw drop may be read-only, so nothing is written there. What was looked at is in the watermark of
``bronze_attachments``, so that a load that was killed between bronze and here is caught up on by the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.ocr.folder import open_folder
from airflow_lakehouse.parsers.documents import DocumentsParser
from airflow_lakehouse.parsing.model import SourceFile
from airflow_lakehouse.spark.bronze import staging
from airflow_lakehouse.spark.bronze.counts import record
from airflow_lakehouse.spark.bronze.discovery import Found
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.iceberg import branches, load
from airflow_lakehouse.spark.silver import conform, delta
from airflow_lakehouse.spark.silver.work import Work
from airflow_lakehouse.spark.storage import files
from airflow_lakehouse.spark.storage.catalog import find_table
from airflow_lakehouse.spark.transforms import attachments as transform
from airflow_lakehouse.tables import bronze, silver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame, SparkSession

    from airflow_lakehouse.parsing import Registry
    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.spark.jobs.model import JobArguments

FOLDER: Final = "attachments"
"""Below the OCR root."""
ATTACHED: Final = "/attachment"
"""Source system of an extracted file in bronze: many may have sent it, and silver has a row for each of them. No path
can name a source with a slash in it. ``stg_doc_pages`` of the dbt project says it, too."""
HOLDERS: Final = ((bronze.DOCUMENT_REFERENCE, "true"), (bronze.OTHER, "resource_type = 'DiagnosticReport'"))
"""Tables with records that have attachments, and which of their rows do."""
_BINARY: Final = "resource_type = 'Binary'"


def is_due(catalog: Catalog) -> bool:
    """Tell whether bronze holds what was not looked at for attachments; no Spark is needed to know.

    :param catalog: the catalog.
    """
    return _differ(*_marks(catalog))


def extract(spark: SparkSession, catalog: Catalog, arguments: JobArguments) -> dict[str, int]:
    """Look at the attachments that are new in bronze, and write the PDFs among them.

    :param spark: the session.
    :param catalog: the catalog.
    :param arguments: of the job.
    :return: outcome to attachments.
    """
    table = bronze.ATTACHMENTS
    # Before the watermark is read: what is committed in between must count as a conflict.
    began = {table.name: load.snapshot_id(catalog, table)}
    seen, now = _marks(catalog)
    if not _differ(seen, now):
        return {}
    profile = arguments.profile
    folder = f"{files.folder_uri(profile.textract_uri)}{FOLDER}/"
    area = f"{arguments.staging_area}-{FOLDER}"
    branch = branches.new_name(arguments.run_id)
    work = Work(spark, catalog, area, Ledger(catalog).dead_versions(), bronze=now, began=began, branch=branch)
    try:
        each = transform.with_attachments(_unread(work, seen))
        found = transform.attachments(each, _binaries(work, each), files.folder_uri(profile.raw or ""), folder)
        schema = ", ".join(f"`{column.name}` {column.type}" for column in table.columns)
        rows = work.keep(found.mapInArrow(_writer(folder, table.column_names), schema), "found")
        present = conform.only(work.read(table), rows.select(*bronze.RECORD_KEY), bronze.RECORD_KEY)
        conform.stage(work, table, rows, present, now)
        # Nothing is staged where nothing differs, and the watermark is there already.
        if table.name in work.staged:
            branches.publish(catalog, work.staged[table.name])
        counts = {row["outcome"]: row["count"] for row in rows.groupBy("outcome").count().collect()}
    finally:
        staging.clear(area, profile)
    told = [(FOLDER, table.name, outcome, count) for outcome, count in sorted(counts.items())]
    record(catalog, told, arguments.run_id)
    return dict(sorted(counts.items()))


def documents(catalog: Catalog, profile: Profile, registry: Registry) -> list[Found]:
    """Return the extracted files, one a content, as files of the drop.

    They come from the table, not from a listing: it knows their content and day without opening one.

    :param catalog: the catalog.
    :param profile: the lakehouse.
    :param registry: the parsers.
    """
    table = find_table(catalog, bronze.ATTACHMENTS.identifier)
    if table is None or table.current_snapshot() is None:
        return []
    extracted = f"outcome = '{transform.EXTRACTED}'"
    fields = ("doc_id", "uri", "bytes", "dt", "ingested_at")
    parser = registry.get(DocumentsParser.name)
    first: dict[str, Found] = {}
    for row in table.scan(row_filter=extracted, selected_fields=fields).to_arrow().sort_by("ingested_at").to_pylist():
        day = row["dt"].isoformat() if row["dt"] else None
        file = SourceFile(row["uri"], row["doc_id"], row["bytes"], day, ATTACHED, profile.textract_uri)
        first.setdefault(row["doc_id"], Found(file, parser.name, parser.version))
    return list(first.values())


def _marks(catalog: Catalog) -> tuple[delta.Watermark | None, delta.Watermark]:
    """Return what was looked at, and what there is."""
    seen = delta.stored(catalog, bronze.ATTACHMENTS)
    return seen, delta.present(catalog, [table for table, _ in HOLDERS], ())


def _differ(seen: delta.Watermark | None, now: delta.Watermark) -> bool:
    return seen != now and any(now.snapshot(table) is not None for table, _ in HOLDERS)


def _unread(work: Work, seen: delta.Watermark | None) -> DataFrame:
    """Return the resources nobody has looked at, and those whose Binary was not there."""
    from pyspark.sql import functions as F

    parts = []
    waiting = work.read(bronze.ATTACHMENTS).where(F.col("outcome") == transform.WAITING).select(*bronze.RECORD_KEY)
    for table, which in HOLDERS:
        rows = work.read(table).where(which)
        until = work.bronze.snapshot(table)
        added = delta.added_rows(work.spark, work.catalog, table, seen.snapshot(table), until) if seen else None
        if added is not None:
            again = conform.only(rows, waiting.distinct(), bronze.RECORD_KEY)
            rows = added.where(which).unionByName(again).dropDuplicates(list(bronze.RECORD_KEY))
        parts.append(rows)
    return parts[0].unionByName(parts[1])


def _binaries(work: Work, each: DataFrame) -> DataFrame:
    """Return the Binaries that attachments name."""
    named = each.where("binary_id IS NOT NULL").selectExpr("source_system", "binary_id AS resource_id").distinct()
    rows = conform.only(work.live(bronze.OTHER).where(_BINARY), work.keep(named, "named"))
    current, _ = conform.current(work, rows, silver.KEEP_NEWEST, "binaries")
    return transform.binaries(current)


def _writer(root: str, columns: tuple[str, ...]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        folder = open_folder(root)
        for batch in batches:
            for uri, content in zip(batch.column("uri"), batch.column(transform.CONTENT), strict=True):
                if not content.is_valid:
                    continue
                name, data = uri.as_py().removeprefix(root), content.as_py()
                # The same content comes in many records; a file that is there whole is not written again.
                if folder.size(name) != len(data):
                    folder.write(name, data)
            yield batch.select(list(columns))

    return write
