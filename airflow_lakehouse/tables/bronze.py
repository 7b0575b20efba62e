"""Bronze: close to the source. One row per record, with the exact text and where it came from."""

from __future__ import annotations

from typing import Final

from airflow_lakehouse.tables.spec import Column, Partition, Table

FILE_KEY: Final = ("source_uri", "source_etag")
"""What identifies one version of one file."""

RECORD_KEY: Final = (*FILE_KEY, "source_row", "source_entry")
"""What identifies one record of one file version."""

_BY_DAY: Final = (Partition("dt"),)

FILE: Final = (
    Column("source_uri", "string", "File the row came from", required=True),
    Column("source_etag", "string", "Version of that file; a local file's is its sha256", required=True),
)
LOAD: Final = (
    Column("dt", "date", "Day of the drop: from the path (dt=YYYY-MM-DD), else as given to the run, else null"),
    Column("source_system", "string", "Who sent it: from the path (source=NAME) or the run; 'default'", required=True),
    Column("batch_id", "string", "Batch that first loaded this file version", required=True),
    Column("ingested_at", "timestamp", "When this file version was first loaded", required=True),
)
PROVENANCE: Final = (
    *FILE,
    Column("source_row", "long", "1-based line, Bundle entry, array element or page", required=True),
    Column("source_entry", "int", "1-based entry where the line itself holds a Bundle, else 0", required=True),
    *LOAD,
)
FLAGS: Final = Column(
    "flags", "array<string>", "UPPER_SNAKE codes of what was odd about the row; empty when nothing was"
)
RESCUED: Final = Column(
    "_rescued", "string", "JSON object of path to exact text: what FHIR R4 does not name in the body; null where all is"
)


def _fhir(resource_type: str, name: str) -> Table:
    return Table(
        name=f"bronze_fhir_{name}",
        namespace="bronze",
        grain="one row per FHIR resource occurrence in one file version",
        columns=(
            Column("resource_type", "string", "FHIR resource type", required=True),
            Column("resource_id", "string", "FHIR logical id; null where the source sent none"),
            Column("version_id", "string", "meta.versionId as sent"),
            Column("last_updated", "timestamp", "meta.lastUpdated as an instant"),
            Column("deleted", "boolean", "The record says that the resource was deleted", required=True),
            Column("bundle_refs", "map<string,string>", "References the record's Bundle resolves: urn to Type/id"),
            Column("body", "string", "Exact source text of the resource"),
            Column("body_sha256", "string", "Hex sha256 of the body"),
            RESCUED,
            FLAGS,
            *PROVENANCE,
        ),
        key=RECORD_KEY,
        partitions=_BY_DAY,
        doc=f"Every {resource_type} as it was sent; nothing is merged or dropped here.",
    )


PATIENT: Final = _fhir("Patient", "patient")
ENCOUNTER: Final = _fhir("Encounter", "encounter")
OBSERVATION: Final = _fhir("Observation", "observation")
CONDITION: Final = _fhir("Condition", "condition")
DOCUMENT_REFERENCE: Final = _fhir("DocumentReference", "document_reference")
OTHER: Final = _fhir("resource of another type", "other")

FHIR_TABLES: Final = {
    "Patient": PATIENT,
    "Encounter": ENCOUNTER,
    "Observation": OBSERVATION,
    "Condition": CONDITION,
    "DocumentReference": DOCUMENT_REFERENCE,
}
"""Resource type to its bronze table; every other type goes to :data:`OTHER`."""

REVIEW: Final = Column("review", "string", "What a person decided about the page: approved or rejected; else null")
BLOCK: Final = (
    Column(
        "block_id",
        "string",
        "Block identifier; the same document read by the same engine gives the same",
        required=True,
    ),
    Column(
        "block_type", "string", "PAGE, LINE, WORD, TABLE, CELL, KEY_VALUE_SET and what else Textract has", required=True
    ),
    Column("reading_order", "int", "1-based place, among blocks of its type, in the order a person reads the page"),
    Column("text", "string", "Text of the block; of cells, keys and values that of their words, which have rows too"),
    Column("confidence", "double", "0 to 100; null for pages"),
    Column("confidence_source", "string", "What gave the confidence: text_layer, ocr, textract or form_field"),
    Column("left", "double", "Left edge, 0 to 1 of the upright page"),
    Column("top", "double", "Top edge, 0 to 1 of the upright page"),
    Column("width", "double", "Width, 0 to 1 of the upright page"),
    Column("height", "double", "Height, 0 to 1 of the upright page"),
    Column("polygon", "array<double>", "x1, y1, x2, y2, ... in text order, 0 to 1 of the upright page"),
    Column("parent_id", "string", "Block this one belongs to: of a word its line, of a cell its table; null for pages"),
    Column("row_index", "int", "1-based table row"),
    Column("column_index", "int", "1-based table column"),
    Column("row_span", "int", "Rows the cell covers"),
    Column("column_span", "int", "Columns the cell covers"),
    Column("engine", "string", "What read the page: text_layer, rapidocr, textract ...", required=True),
    Column("engine_version", "string", "Version of that engine", required=True),
    Column("job_id", "string", "Textract job; null for local engines"),
    Column(
        "parent_ids", "array<string>", "Every block this one lies in, parent_id first; a word may lie in a cell, too"
    ),
    Column("entity_types", "array<string>", "KEY, VALUE, COLUMN_HEADER ... of key-value sets, cells and tables"),
    Column("text_type", "string", "PRINTED or HANDWRITING"),
    Column("selection_status", "string", "SELECTED or NOT_SELECTED: of a box to tick, and of what it is the value of"),
    Column("key_text", "string", "Key of a form value, question of an answer"),
    Column("key_alias", "string", "Alias of the question"),
    Column("continues_id", "string", "Table at the end of the page before, of which this table is the rest"),
    REVIEW,
)
DOC_ID: Final = Column("doc_id", "string", "Hex sha256 of the document", required=True)
PAGE: Final = Column("page", "int", "1-based page", required=True)

DOCS_TEXT: Final = Table(
    name="bronze_docs_text",
    namespace="bronze",
    grain="one row per block of one page of one document version",
    columns=(DOC_ID, PAGE, *BLOCK, *PROVENANCE),
    key=(*FILE_KEY, "block_id"),
    partitions=_BY_DAY,
)
DOCS_PAGES: Final = Table(
    name="bronze_docs_pages",
    namespace="bronze",
    grain="one row per page of one document version",
    columns=(
        DOC_ID,
        PAGE,
        Column("pages_in_document", "int", "Pages the document has", required=True),
        Column("status", "string", "ok, blank or failed", required=True),
        Column("reason", "string", "UPPER_SNAKE code: why the page is blank or failed"),
        Column("method", "string", "text_layer or ocr"),
        Column("method_reason", "string", "UPPER_SNAKE code: why that method was chosen"),
        Column("blocks", "int", "Blocks on the page", required=True),
        Column("mean_confidence", "double", "Mean confidence of the words, 0 to 100"),
        Column("page_width_pt", "double", "Width of the upright page, points"),
        Column("page_height_pt", "double", "Height of the upright page, points"),
        Column("rotation", "int", "Degrees by which the content was turned to be read"),
        Column("engine", "string", "What read the page"),
        Column("engine_version", "string", "Version of that engine"),
        Column("seconds", "double", "Time it took to read the page"),
        Column("job_id", "string", "Textract job; null for local engines"),
        REVIEW,
        Column("reviewed_by", "string", "Who decided"),
        Column("reviewed_at", "string", "When, ISO 8601"),
        *PROVENANCE,
    ),
    key=(*FILE_KEY, "page"),
    partitions=_BY_DAY,
)
ATTACHMENTS: Final = Table(
    name="bronze_attachments",
    namespace="bronze",
    grain="one row per attachment of one occurrence of a DocumentReference or DiagnosticReport",
    columns=(
        Column("resource_type", "string", "Type of the resource the attachment belongs to", required=True),
        Column("resource_id", "string", "Its FHIR logical id; null where the source sent none"),
        Column("attachment", "int", "1-based place among the attachments of the resource", required=True),
        Column("content_type", "string", "contentType as sent; the bytes decide, not this"),
        Column("url", "string", "url as sent"),
        Column("stated_size", "long", "size as sent, bytes"),
        Column("stated_hash", "string", "hash as sent: base64 of the SHA-1"),
        Column("outcome", "string", "extracted, by_url, waiting, skipped or rejected", required=True),
        Column("reason", "string", "UPPER_SNAKE code: why it was not extracted"),
        Column("doc_id", "string", "Hex sha256 of the content; null where there is none"),
        Column("bytes", "long", "Size of the content, bytes"),
        Column("uri", "string", "File the content was extracted to; the same content has one file"),
        FLAGS,
        *PROVENANCE,
    ),
    key=(*RECORD_KEY, "attachment"),
    partitions=_BY_DAY,
    doc="What is extracted is read by the OCR stage like any document of the drop.",
)
DOCS_MANIFEST: Final = Table(
    name="bronze_docs_manifest",
    namespace="bronze",
    grain="one row per entry of one version of a manifest of documents",
    columns=(
        Column("document", "string", "Path from the manifest's folder, or URI", required=True),
        Column("patient_id", "string", "Patient the document is about"),
        Column("encounter_id", "string", "Encounter it belongs to"),
        *PROVENANCE,
    ),
    key=RECORD_KEY,
    partitions=_BY_DAY,
    doc="For documents whose patient no FHIR record names.",
)
QUARANTINE: Final = Table(
    name="bronze_quarantine",
    namespace="bronze",
    grain="one row per rejected record",
    columns=(
        *FILE,
        Column(
            "position", "long", "1-based line, Bundle entry or page; 0 when the whole file was rejected", required=True
        ),
        Column("entry", "int", "1-based entry where the line itself holds a Bundle, else 0", required=True),
        Column("reason", "string", "UPPER_SNAKE code", required=True),
        Column("detail", "string", "What was wrong, without any text of the record"),
        Column("raw", "binary", "The record's bytes as they were found; null for a whole file above 1 MiB"),
        Column("parser", "string", "Parser that rejected it", required=True),
        *LOAD,
    ),
    key=(*FILE_KEY, "position", "entry"),
    partitions=_BY_DAY,
    doc="A bad field does not bring a record here: the field is null and the row carries a flag.",
)

TABLES: Final = (*FHIR_TABLES.values(), OTHER, ATTACHMENTS, DOCS_TEXT, DOCS_PAGES, DOCS_MANIFEST, QUARANTINE)
