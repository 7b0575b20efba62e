"""Attachments of DocumentReferences and DiagnosticReports: what each holds, and what is to become of it.

https://hl7.org/fhir/R4/datatypes.html#Attachment. The content is in ``data``, in a contained resource, or in a
``Binary`` that the ``url`` names. Its bytes decide whether it is a PDF: what senders say of type, size and hash is
kept, and flagged where it is not so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.ocr.formats import MAGIC, MAGIC_WITHIN
from airflow_lakehouse.ocr.reader import NOT_A_PDF
from airflow_lakehouse.parsers.fhir.lift import STRICT_JSON
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EXTRACTED: Final = "extracted"
BY_URL: Final = "by_url"
"""The URL can name a file of the drop; silver links that document whenever it is there."""
WAITING: Final = "waiting"
SKIPPED: Final = "skipped"
"""The content is no PDF, and was not said to be one."""
REJECTED: Final = "rejected"

BROKEN_BASE64: Final = "BROKEN_BASE64"
"""The data is not base64."""
BAD_ATTACHMENT: Final = "BAD_ATTACHMENT"
"""The attachment, or what stands in place of all of them, is not what FHIR has there."""
NO_CONTENT: Final = "NO_CONTENT"
"""The attachment has no data and no URL."""
UNRESOLVED_BINARY: Final = "UNRESOLVED_BINARY"
"""The Binary is not in bronze; the attachment is looked at again with every load until it is."""
UNRESOLVED_URL: Final = "UNRESOLVED_URL"
"""The URL names nothing a drop can hold: a urn no Bundle resolves, or another scheme."""
REMOTE_URL: Final = "REMOTE_URL"
"""The URL is on a network. Nothing is fetched: drop the file, or the Binary, beside the resource."""
OUTSIDE_DROP: Final = "OUTSIDE_DROP"
"""The URL names a file outside the drop; it is never opened."""

WRONG_CONTENT_TYPE: Final = "WRONG_CONTENT_TYPE"
"""Flag: the content is a PDF and was said to be something else."""
WRONG_HASH: Final = "WRONG_HASH"
"""Flag: the content does not have the SHA-1 that was stated."""
WRONG_SIZE: Final = "WRONG_SIZE"
"""Flag: the content does not have the size that was stated."""

CONTENT: Final = "content"
"""Column with the bytes of an extracted attachment."""
_ATTACHMENT: Final = "contentType: STRING, data: STRING, url: STRING, size: STRING, hash: STRING"
_BINARY: Final = "(?:^|/)Binary/([^/?#]+)(?:/_history/[^/?#]+)?$"
_NAMED: Final = "coalesce(try_element_at(bundle_refs, a.url), a.url)"
_UNWRAPPED: Final = r"translate({}, ' \r\n\t', '')"
_PDF: Final = "application/pdf"
_KIND: Final = "lower(trim(substring_index(content_type, ';', 1)))"


FIELDS: Final = "content STRING, presentedForm STRING"
"""Fields that hold attachments, in DocumentReferences and in DiagnosticReports, for :func:`every`."""


def every(attachment: str) -> str:
    """Return SQL for all attachments of ``r``, read with :data:`FIELDS`; null for what is none.

    They are read one by one: for one element of another kind, Spark would give up the array, and with it true PDFs.

    :param attachment: Spark schema of the fields wanted.
    """
    options = ", ".join(f"'{name}', '{value}'" for name, value in STRICT_JSON.items())

    def read(text: str, schema: str) -> str:
        return f"from_json({text}, '{schema}', map({options}))"

    def items(field: str) -> str:
        alone = f"CASE WHEN r.{field} IS NOT NULL THEN array(r.{field}) ELSE array() END"
        return f"coalesce({read(f'r.{field}', 'ARRAY<STRING>')}, {alone})"

    wrapped = f"CASE WHEN c LIKE '{{%' THEN {read('c', f'attachment STRUCT<{attachment}>')}.attachment END"
    plain = f"CASE WHEN c LIKE '{{%' THEN {read('c', f'STRUCT<{attachment}>')} END"
    return f"concat(transform({items('content')}, c -> {wrapped}), transform({items('presentedForm')}, c -> {plain}))"


_SCHEMA: Final = f"_corrupt STRING, contained ARRAY<STRUCT<id: STRING, data: STRING>>, {FIELDS}"


def with_attachments(rows: DataFrame) -> DataFrame:
    """Return one row an attachment, with its data as text where the resource itself holds it.

    :param rows: rows of a bronze FHIR table.
    :return: their provenance, ``a`` with the attachment, ``attachment``, ``text`` and ``binary_id``.
    """
    from pyspark.sql import functions as F

    own = [name for name in bronze.ATTACHMENTS.column_names if name in rows.columns and name != bronze.FLAGS.name]
    each = rows.select(*own, "bundle_refs", F.from_json("body", _SCHEMA, STRICT_JSON).alias("r")).selectExpr(
        *own, "bundle_refs", "r.contained AS contained", f"posexplode({every(_ATTACHMENT)}) AS (place, a)"
    )
    inside = "try_element_at(filter(contained, c -> concat('#', c.id) = a.url), 1).data"
    return each.selectExpr(
        *own,
        "CASE WHEN a IS NOT NULL THEN struct(a.contentType, a.url, a.size, a.hash) END AS a",
        "place + 1 AS attachment",
        f"coalesce(a.data, {inside}) AS text",
        f"CASE WHEN {_NAMED} RLIKE '{_BINARY}' THEN regexp_extract({_NAMED}, '{_BINARY}', 1) END AS binary_id",
    )


def binaries(rows: DataFrame) -> DataFrame:
    """Return what Binaries hold, as text.

    :param rows: the current version of Binaries.
    :return: ``source_system, binary_id, binary_text``.
    """
    from pyspark.sql import functions as F

    read = F.from_json("body", "_corrupt STRING, data STRING", STRICT_JSON)
    return rows.select(
        "source_system", F.col("resource_id").alias("binary_id"), read.getField("data").alias("binary_text")
    )


def attachments(each: DataFrame, found: DataFrame, root: str, folder: str) -> DataFrame:
    """Decide on every attachment.

    :param each: from :func:`with_attachments`.
    :param found: from :func:`binaries`.
    :param root: URI of the drop, with a slash at its end.
    :param folder: URI of the folder that content is extracted to.
    :return: the columns of bronze_attachments, and :data:`CONTENT` for what is to be extracted.
    """
    from pyspark.sql import functions as F

    own = [name for name in each.columns if name in bronze.ATTACHMENTS.column_names]
    joined = each.join(found, ["source_system", "binary_id"], "left")
    decoded = joined.selectExpr(
        *own,
        "a.contentType AS content_type",
        "a.url AS url",
        "try_cast(a.size AS BIGINT) AS stated_size",
        "a.hash AS stated_hash",
        "a IS NULL AS is_none",
        "binary_id",
        "coalesce(text, binary_text) AS text",
    ).selectExpr("*", f"try_to_binary({_UNWRAPPED.format('text')}, 'base64') AS bin")
    head = f"decode(substring(bin, 1, {MAGIC_WITHIN}), 'ISO-8859-1')"
    named = decoded.selectExpr(
        "*",
        f"coalesce(instr({head}, '{MAGIC.decode()}') > 0, false) AS is_pdf",
        "CAST(octet_length(bin) AS BIGINT) AS bytes",
        "CASE WHEN octet_length(bin) > 0 THEN sha2(bin, 256) END AS doc_id",
    ).withColumn("verdict", F.expr(_verdict(root)))
    return named.selectExpr(
        *own,
        *("content_type", "url", "stated_size", "stated_hash", "doc_id", "bytes"),
        "split(verdict, ' ')[0] AS outcome",
        "get(split(verdict, ' '), 1) AS reason",
        f"CASE WHEN verdict = '{EXTRACTED}' THEN concat({_text(folder)}, doc_id, '.pdf') END AS uri",
        f"{_flags()} AS {bronze.FLAGS.name}",
        f"CASE WHEN verdict = '{EXTRACTED}' THEN bin END AS {CONTENT}",
    )


def _verdict(root: str) -> str:
    """Return outcome and reason, with a space between them."""
    scheme = "^[A-Za-z][A-Za-z0-9+.-]*:"
    climbs = "concat('/', url, '/') LIKE '%/../%'"
    cases = (
        ("is_none", f"{REJECTED} {BAD_ATTACHMENT}"),
        ("text IS NOT NULL AND bin IS NULL", f"{REJECTED} {BROKEN_BASE64}"),
        ("is_pdf", EXTRACTED),
        (f"bytes > 0 AND {_KIND} = '{_PDF}'", f"{REJECTED} {NOT_A_PDF}"),
        ("bytes > 0", f"{SKIPPED} {NOT_A_PDF}"),
        ("bytes = 0", f"{REJECTED} {NO_CONTENT}"),
        ("binary_id IS NOT NULL", f"{WAITING} {UNRESOLVED_BINARY}"),
        ("coalesce(url, '') = ''", f"{REJECTED} {NO_CONTENT}"),
        ("url RLIKE '^(?i)https?:'", f"{REJECTED} {REMOTE_URL}"),
        (f"{climbs} OR url LIKE '/%'", f"{REJECTED} {OUTSIDE_DROP}"),
        (f"startswith(url, {_text(root)})", BY_URL),
        ("url RLIKE '^(?:s3|file):'", f"{REJECTED} {OUTSIDE_DROP}"),
        (f"url RLIKE '{scheme}' OR url LIKE '#%'", f"{REJECTED} {UNRESOLVED_URL}"),
    )
    return "CASE " + " ".join(f"WHEN {when} THEN '{then}'" for when, then in cases) + f" ELSE '{BY_URL}' END"


def _flags() -> str:
    # Senders write the SHA-1 as base64 of its bytes, as the specification says, or in hex.
    same = "stated_hash = base64(unhex(sha1(bin))) OR lower(stated_hash) = sha1(bin)"
    flags = {
        WRONG_CONTENT_TYPE: f"is_pdf AND {_KIND} <> '{_PDF}'",
        WRONG_HASH: f"bytes > 0 AND NOT ({same})",
        WRONG_SIZE: "bytes > 0 AND stated_size <> bytes",
    }
    each = (f"CASE WHEN {sql} THEN {_text(name)} END" for name, sql in flags.items())
    return f"array_compact(array({', '.join(each)}))"


def _text(value: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
