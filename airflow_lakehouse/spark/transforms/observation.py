"""Observation, and each of its components, to rows of silver_fct_observation.

The time of an observation is ``effectiveDateTime``, else ``effectiveInstant``, else the start of
``effectivePeriod``, else ``issued``; ``obs_time_source`` says which. A component has the time of its observation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.transforms import fhir, references
from airflow_lakehouse.spark.transforms.columns import with_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LOINC: Final = "http://loinc.org"
_QUANTITY: Final = "STRUCT<value: STRING, comparator: STRING, unit: STRING, system: STRING, code: STRING>"
_VALUE: Final = (
    f"valueQuantity {_QUANTITY}, valueCodeableConcept {fhir.CONCEPT}, valueString STRING, valueBoolean STRING,"
    f" valueInteger STRING, valueRange STRING, valueRatio STRING, valueSampledData STRING, valueTime STRING,"
    f" valueDateTime STRING, valuePeriod STRING, dataAbsentReason {fhir.CONCEPT}"
)
_COMPONENT: Final = f"STRUCT<code {fhir.CONCEPT}, {_VALUE}>"
SCHEMA: Final = (
    f"status STRING, category ARRAY<{fhir.CONCEPT}>, code {fhir.CONCEPT}, subject {references.REFERENCE},"
    f" encounter {references.REFERENCE}, {references.CONTAINED},"
    f" effectiveDateTime STRING, effectiveInstant STRING, effectivePeriod {fhir.PERIOD}, issued STRING,"
    f" {_VALUE}, component ARRAY<{_COMPONENT}>"
)
_TIMES: Final = {
    "effectiveDateTime": "r.effectiveDateTime",
    "effectiveInstant": "r.effectiveInstant",
    "effectivePeriod": "r.effectivePeriod.start",
    "issued": "r.issued",
}
_KINDS: Final = {
    "Quantity": "valueQuantity",
    "CodeableConcept": "valueCodeableConcept",
    "string": "valueString",
    "boolean": "valueBoolean",
    "integer": "valueInteger",
    "Range": "valueRange",
    "Ratio": "valueRatio",
    "SampledData": "valueSampledData",
    "time": "valueTime",
    "dateTime": "valueDateTime",
    "Period": "valuePeriod",
}
_REFERENCES: Final = {"subject": "r.subject", "encounter": "r.encounter"}
TWO_VALUES: Final = "TWO_VALUES"
"""Flag: more than one value[x]; the first in FHIR's order is taken, the text is in bronze."""
INEXACT_NUMBER: Final = "INEXACT_NUMBER"
"""Flag: the number has more digits than decimal(38,12) holds; value_text has them all."""


def observations(rows: DataFrame) -> DataFrame:
    """Read observations, one row each; components stay together in ``parts`` until :func:`with_components`.

    :param rows: rows of bronze_fhir_observation.
    :return: the same rows with the columns that a component shares with its observation, and ``parts``.
    """
    time = f"coalesce({', '.join(_TIMES.values())})"
    source = " ".join(f"WHEN {sql} IS NOT NULL THEN '{name}'" for name, sql in _TIMES.items())
    columns = {
        "parent_id": "resource_id",
        "patient_id": references.named_id("subject", "Patient"),
        "encounter_id": references.named_id("encounter", "Encounter"),
        "status": "r.status",
        "category": "get(get(r.category, 0).coding, 0).code",
        "obs_time": "as_instant",
        "obs_time_text": "time_text",
        **fhir.time_details("obs_time", "time_text", "precise", "as_instant"),
        "obs_time_source": f"CASE {source} END",
        "parts": f"concat(array({_own_part()}), coalesce(r.component, array()))",
    }
    # One projection after the other, so that the text of a time is matched once and not once a column.
    read = (
        fhir.read_body(rows, SCHEMA)
        .selectExpr("*", f"{time} AS time_text")
        .selectExpr("*", f"{fhir.instant('time_text')} AS as_instant")
        .selectExpr("*", f"{fhir.precision('time_text', 'as_instant')} AS precise")
    )
    flags = fhir.flags(
        ("time_text IS NOT NULL AND precise IS NULL", fhir.BAD_TIME),
        (references.is_bad(*_REFERENCES), references.BAD_REFERENCE),
        (fhir.entered_in_error("r.status"), fhir.ENTERED_IN_ERROR),
    )
    read = references.with_references(read, _REFERENCES)
    return with_columns(read, rows, {**columns, **{name: name for name in _REFERENCES}}, flags)


def _own_part() -> str:
    names = ["code", *_KINDS.values(), "dataAbsentReason"]
    return f"named_struct({', '.join(f'{chr(39)}{name}{chr(39)}, r.{name}' for name in names)})"


def with_components(rows: DataFrame) -> DataFrame:
    """Give every component a row of its own beside its observation's.

    :param rows: from :func:`observations`.
    :return: the columns of silver_fct_observation, and those of the keep-rule.
    """
    # Outer, though parts is never empty: else Spark adds a filter on its size, for which it reads every body twice.
    exploded = rows.selectExpr("*", "posexplode_outer(parts) AS (part_no, part)").drop("parts")
    coding, value_coding = "coding", "value_coding"
    # Chosen in a projection of their own, so that Spark chooses once and not once a column.
    chosen = exploded.selectExpr(
        "*",
        f"{fhir.preferred_coding('part.code', (LOINC,))} AS {coding}",
        f"{fhir.preferred_coding('part.valueCodeableConcept', ())} AS {value_coding}",
    )
    number = "try_cast(coalesce(part.valueQuantity.value, part.valueInteger) AS DECIMAL(38,12))"
    exact = "try_cast(coalesce(part.valueQuantity.value, part.valueInteger) AS DOUBLE)"
    given = " + ".join(f"CASE WHEN part.{field} IS NOT NULL THEN 1 ELSE 0 END" for field in _KINDS.values())
    kinds = " ".join(f"WHEN part.{field} IS NOT NULL THEN '{kind}'" for kind, field in _KINDS.items())
    columns = {
        "observation_id": "CASE part_no WHEN 0 THEN parent_id ELSE concat(parent_id, '#', part_no) END",
        "parent_observation_id": "CASE WHEN part_no > 0 THEN parent_id END",
        "obs_code": f"coalesce({coding}.code, part.code.text)",
        "obs_code_system": f"{coding}.system",
        "codings": "part.code.coding",
        "obs_code_text": fhir.concept_text("part.code", coding),
        "value_type": f"CASE {kinds} END",
        "value_number": number,
        "value_text": _value_text(value_coding),
        "comparator": "part.valueQuantity.comparator",
        "unit": "part.valueQuantity.unit",
        "unit_code": "part.valueQuantity.code",
        "unit_system": "part.valueQuantity.system",
        "value_code": f"{value_coding}.code",
        "value_code_system": f"{value_coding}.system",
        "value_time": fhir.instant("part.valueDateTime"),
        "absent_reason": "coalesce(get(part.dataAbsentReason.coding, 0).code, part.dataAbsentReason.text)",
        "flags": (
            f"concat(flags, array_compact(array(CASE WHEN {given} > 1 THEN '{TWO_VALUES}' END,"
            f" CASE WHEN {exact} IS NOT NULL AND {number} IS NULL THEN '{INEXACT_NUMBER}' END)))"
        ),
    }
    kept = [name for name in exploded.columns if name not in ("part", "part_no", *columns)]
    return chosen.selectExpr(*kept, *(f"{sql} AS `{name}`" for name, sql in columns.items()))


def _value_text(coding: str) -> str:
    texts = {
        "valueQuantity": "part.valueQuantity.value",
        "valueCodeableConcept": f"coalesce(part.valueCodeableConcept.text, {coding}.display, {coding}.code)",
    }
    return f"coalesce({', '.join(texts.get(field, f'part.{field}') for field in _KINDS.values())})"
