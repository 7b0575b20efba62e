"""What an engineer writes without a lakehouse package: read lines, ``from_json`` with a schema, one MERGE a table.

Same columns as ours where they carry data: ids, codes, times, values, references. No quarantine, no flags, no ledger,
no lineage but the file, no reconciliation, no order of versions, no collisions: a line that is not JSON becomes a row
of nulls, a number loses its text, the last row of an id wins or the MERGE fails.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

_CODING: Final = "STRUCT<system: STRING, code: STRING, display: STRING>"
_CONCEPT: Final = f"STRUCT<coding: ARRAY<{_CODING}>, text: STRING>"
_REFERENCE: Final = "STRUCT<reference: STRING>"
_META: Final = "id STRING, meta STRUCT<versionId: STRING, lastUpdated: STRING>"
SCHEMAS: Final = {
    "Patient": (
        f"{_META}, gender STRING, birthDate STRING, deceasedDateTime STRING,"
        " name ARRAY<STRUCT<family: STRING, given: ARRAY<STRING>>>,"
        " address ARRAY<STRUCT<city: STRING, state: STRING, postalCode: STRING, country: STRING>>,"
        f" identifier ARRAY<STRUCT<value: STRING, type: {_CONCEPT}>>"
    ),
    "Encounter": (
        f"{_META}, status STRING, class {_CODING}, type ARRAY<{_CONCEPT}>, subject {_REFERENCE},"
        f" period STRUCT<start: STRING, `end`: STRING>, serviceProvider {_REFERENCE}"
    ),
    "Observation": (
        f"{_META}, status STRING, category ARRAY<{_CONCEPT}>, code {_CONCEPT}, subject {_REFERENCE},"
        f" encounter {_REFERENCE}, effectiveDateTime STRING, issued STRING, valueString STRING,"
        " valueQuantity STRUCT<value: DECIMAL(38,12), unit: STRING, system: STRING, code: STRING>,"
        f" valueCodeableConcept {_CONCEPT}, component ARRAY<STRUCT<code: {_CONCEPT},"
        f" valueQuantity: STRUCT<value: DECIMAL(38,12), unit: STRING, code: STRING>, valueCodeableConcept: {_CONCEPT}>>"
    ),
}
_ID: Final = "split_part(r.{0}.reference, '/', -1)"
COLUMNS: Final = {
    "Patient": {
        "patient_id": "r.id",
        "family": "r.name[0].family",
        "given": "r.name[0].given",
        "gender": "r.gender",
        "birth_date": "try_cast(r.birthDate AS DATE)",
        "deceased_time": "try_cast(r.deceasedDateTime AS TIMESTAMP)",
        "city": "r.address[0].city",
        "state": "r.address[0].state",
        "postal_code": "r.address[0].postalCode",
        "mrn": "try_element_at(filter(r.identifier, i -> i.type.coding[0].code = 'MR'), 1).value",
    },
    "Encounter": {
        "encounter_id": "r.id",
        "patient_id": _ID.format("subject"),
        "status": "r.status",
        "class_code": "r.class.code",
        "type_code": "r.type[0].coding[0].code",
        "type_text": "r.type[0].text",
        "period_start": "try_cast(r.period.start AS TIMESTAMP)",
        "period_end": "try_cast(r.period.`end` AS TIMESTAMP)",
        "service_provider_id": _ID.format("serviceProvider"),
    },
    "Observation": {
        "observation_id": "concat(r.id, '#', pos)",
        "patient_id": _ID.format("subject"),
        "encounter_id": _ID.format("encounter"),
        "status": "r.status",
        "category": "r.category[0].coding[0].code",
        "obs_time": "try_cast(coalesce(r.effectiveDateTime, r.issued) AS TIMESTAMP)",
        "obs_code": "part.code.coding[0].code",
        "obs_code_system": "part.code.coding[0].system",
        "obs_code_text": "coalesce(part.code.text, part.code.coding[0].display)",
        "value_number": "part.valueQuantity.value",
        "unit": "part.valueQuantity.unit",
        "unit_code": "part.valueQuantity.code",
        "value_code": "part.valueCodeableConcept.coding[0].code",
        "value_text": "CASE pos WHEN 0 THEN r.valueString END",
    },
}
_OWN: Final = (
    "named_struct('code', r.code, 'valueQuantity', named_struct('value', r.valueQuantity.value, 'unit',"
    " r.valueQuantity.unit, 'code', r.valueQuantity.code), 'valueCodeableConcept', r.valueCodeableConcept)"
)


def run(spark: SparkSession, drop: Path, *, layers: bool) -> dict[str, float]:
    """Load a drop of one gzip a type, and return seconds a stage.

    :param spark: a session whose default catalog is Iceberg.
    :param drop: the drop.
    :param layers: text to a bronze table and from there to silver; else straight to silver.
    """
    for space in ("plain_bronze", "plain_silver"):
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {space}")
    started = time.monotonic()
    for name in SCHEMAS:
        _lines(spark, drop, name)
    sources = {name: f"lines_{name}" for name in SCHEMAS}
    seconds = {}
    if layers:
        for name, lines in sources.items():
            head = "from_json(body, 'id STRING, meta STRUCT<versionId: STRING, lastUpdated: STRING>')"
            rows = (
                f"SELECT '{name}' AS resource_type, h.id AS resource_id, h.meta.versionId AS version_id,"
                " h.meta.lastUpdated AS last_updated, body, sha2(body, 256) AS body_sha256, source_uri"
                f" FROM (SELECT *, {head} AS h FROM {lines})"
            )
            merge(spark, f"plain_bronze.{name.lower()}", rows, ("source_uri", "body_sha256"))
            sources[name] = f"plain_bronze.{name.lower()}"
        seconds["bronze"] = time.monotonic() - started
    started = time.monotonic()
    for name, lines in sources.items():
        merge(spark, f"plain_silver.{name.lower()}", typed(lines, name), (next(iter(COLUMNS[name])),))
    return {**seconds, "silver": time.monotonic() - started}


def _lines(spark: SparkSession, drop: Path, name: str) -> None:
    path = f"{drop}/{name}.ndjson.gz"
    lines = spark.read.text(path).selectExpr("value AS body", f"'{path}' AS source_uri")
    # A gzip is read by one task; the work on its lines is shared.
    lines.repartition(4).createOrReplaceTempView(f"lines_{name}")


def typed(lines: str, name: str) -> str:
    """Return the query that types the lines of a view.

    :param lines: the view, with ``body`` and ``source_uri``.
    :param name: their resource type.
    """
    read = f"SELECT from_json(body, '{SCHEMAS[name]}') AS r, source_uri FROM {lines}"
    if name == "Observation":
        parts = (
            "transform(r.component, c -> named_struct('code', c.code, 'valueQuantity', c.valueQuantity,"
            " 'valueCodeableConcept', c.valueCodeableConcept))"
        )
        every = f"concat(array({_OWN}), coalesce({parts}, array()))"
        read = f"SELECT r, source_uri, posexplode({every}) AS (pos, part) FROM ({read})"
    columns = ", ".join(f"{sql} AS {column}" for column, sql in COLUMNS[name].items())
    return f"SELECT {columns}, source_uri FROM ({read})"


def merge(spark: SparkSession, table: str, rows: str, key: tuple[str, ...]) -> None:
    """Create a table if it is not there, and merge rows into it.

    :param spark: the session.
    :param table: its name.
    :param rows: a query.
    :param key: columns that identify a row.
    """
    columns = ", ".join(f"{name} {type_}" for name, type_ in spark.sql(rows).dtypes)
    spark.sql(f"CREATE TABLE IF NOT EXISTS {table} ({columns}) USING iceberg")
    same = " AND ".join(f"t.{name} = s.{name}" for name in key)
    spark.sql(
        f"MERGE INTO {table} t USING ({rows}) s ON {same} WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
