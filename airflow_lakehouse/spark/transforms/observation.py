"""Observation, and each of its components, to rows of silver_fct_observation.

The time of an observation is ``effectiveDateTime``, else ``effectiveInstant``, else the start of
``effectivePeriod``, else ``issued``; ``obs_time_source`` says which. A component has the time of its observation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.transforms import fhir, numbers, references, times
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
_COMPONENT_FIELDS: Final = f"code {fhir.CONCEPT}, {_VALUE}"
_COMPONENT: Final = f"STRUCT<{_COMPONENT_FIELDS}>"
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
_UNIT: Final = {"comparator": "comparator", "unit": "unit", "unit_code": "code", "unit_system": "system"}
# Functions with a lambda are interpreted row by row: where the first coding of all has a code, none is needed.
_CATEGORY: Final = (
    "CASE WHEN size(r.category) = 1 AND get(get(r.category, 0).coding, 0).code IS NOT NULL"
    " THEN get(get(r.category, 0).coding, 0).code"
    " ELSE get(filter(flatten(transform(r.category, c -> c.coding)), c -> c.code IS NOT NULL), 0).code END"
)
_IS_NUMBER_KIND: Final = "kind IN ('Quantity', 'integer') AND said IS NOT NULL"
COMPONENT_MARK: Final = "#"
"""Stands between an observation's id and the place of a component; no id in silver has it."""
_REFERENCES: Final = {"subject": "r.subject", "encounter": "r.encounter"}
TWO_VALUES: Final = "TWO_VALUES"
"""Flag: more than one value[x]; the first in FHIR's order is taken, the text is in bronze."""
INEXACT_NUMBER: Final = "INEXACT_NUMBER"
"""Flag: decimal(38,12) cannot hold every digit of the number, and value_number is null; value_text has them all."""


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
        "category": _CATEGORY,
        **times.time_columns("obs_time", "obs_time"),
        "obs_time_source": f"CASE {source} END",
        "parts": f"concat(array({_own_part()}), {_components()})",
    }
    read = times.with_times(fhir.read_body(rows, SCHEMA), {"obs_time": time})
    flags = fhir.flags(
        (times.not_a_time("obs_time"), times.BAD_TIME),
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
    kinds = " ".join(f"WHEN part.{field} IS NOT NULL THEN '{kind}'" for kind, field in _KINDS.items())
    told = chosen.selectExpr("*", f"CASE {kinds} END AS kind")
    told = told.selectExpr("*", f"CASE kind {_value_text(value_coding)} END AS said")
    told = told.selectExpr(
        "*",
        f"CASE WHEN {_IS_NUMBER_KIND} THEN {numbers.is_number('said')} END AS is_number",
        f"CASE WHEN {_IS_NUMBER_KIND} THEN {numbers.exact('said')} END AS number",
    )
    columns = {
        "observation_id": f"CASE part_no WHEN 0 THEN parent_id ELSE concat(parent_id, '{COMPONENT_MARK}', part_no) END",
        "parent_observation_id": "CASE WHEN part_no > 0 THEN parent_id END",
        "obs_code": f"coalesce({coding}.code, part.code.text)",
        "obs_code_system": f"{coding}.system",
        "codings": "part.code.coding",
        "obs_code_text": fhir.concept_text("part.code", coding),
        "value_type": "kind",
        "value_number": "number",
        "value_text": "said",
        **{name: f"CASE WHEN kind = 'Quantity' THEN part.valueQuantity.{field} END" for name, field in _UNIT.items()},
        "value_code": f"CASE WHEN kind = 'CodeableConcept' THEN {value_coding}.code END",
        "value_code_system": f"CASE WHEN kind = 'CodeableConcept' THEN {value_coding}.system END",
        "value_time": f"CASE WHEN kind = 'dateTime' THEN {times.instant('said')} END",
        "absent_reason": f"coalesce({fhir.preferred_coding('part.dataAbsentReason', ())}.code,"
        " part.dataAbsentReason.text)",
        "flags": _value_flags(),
    }
    kept = [name for name in exploded.columns if name not in ("part", "part_no", *columns)]
    return told.selectExpr(*kept, *(f"{sql} AS `{name}`" for name, sql in columns.items()))


def _value_flags() -> str:
    given = " + ".join(f"CASE WHEN part.{field} IS NOT NULL THEN 1 ELSE 0 END" for field in _KINDS.values())
    conditions = {
        TWO_VALUES: f"{given} > 1",
        INEXACT_NUMBER: "is_number AND number IS NULL",
        fhir.BAD_FIELD: "NOT is_number",
        times.BAD_TIME: f"kind = 'dateTime' AND ({times.precision('said')}) IS NULL",
    }
    return fhir.with_codes(*((condition, code) for code, condition in conditions.items()))


def _value_text(coding: str) -> str:
    texts = {
        "Quantity": "part.valueQuantity.value",
        "CodeableConcept": f"coalesce(part.valueCodeableConcept.text, {coding}.display, {coding}.code)",
        **{kind: fhir.as_sent(f"part.{_KINDS[kind]}") for kind in ("Range", "Ratio", "SampledData")},
    }
    return " ".join(f"WHEN '{kind}' THEN {texts.get(kind, f'part.{field}')}" for kind, field in _KINDS.items())


def _components() -> str:
    """Return the components; where one of them is broken, the others all the same.

    Spark gives up an array for one element of another kind. Read one by one, that one alone is empty.
    """
    one_by_one = "from_json(body, 'component ARRAY<STRING>').component"
    read = f"transform({one_by_one}, c -> from_json(c, '{_COMPONENT_FIELDS}'))"
    return f"coalesce(r.component, CASE WHEN r._corrupt IS NOT NULL THEN {read} END, array())"
