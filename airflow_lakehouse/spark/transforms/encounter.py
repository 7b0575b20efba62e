"""Encounter to silver_fct_encounter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.transforms import fhir
from airflow_lakehouse.spark.transforms.columns import with_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA: Final = (
    f"status STRING, class {fhir.CODING}, type ARRAY<{fhir.CONCEPT}>, subject {fhir.REFERENCE},"
    f" period {fhir.PERIOD}, partOf {fhir.REFERENCE}, serviceProvider {fhir.REFERENCE}"
)
REVERSED_PERIOD: Final = "REVERSED_PERIOD"
"""Flag: the period ends before it starts."""
_SECONDS_PER_HOUR: Final = 3600.0


def encounters(rows: DataFrame) -> DataFrame:
    """Read encounters.

    :param rows: rows of bronze_fhir_encounter.
    :return: the same rows with the columns of silver_fct_encounter added.
    """
    start, end = fhir.instant("r.period.start"), fhir.instant("r.period.`end`")
    seconds = f"(unix_micros({end}) - unix_micros({start})) / 1e6D"
    # A day has no hours: the stay of a patient who left "on the 3rd" is not known to the hour.
    exact = " AND ".join(
        f"({fhir.precision(text)}) IN ('second', 'fraction')" for text in ("r.period.start", "r.period.`end`")
    )
    coding = fhir.preferred_coding("get(r.type, 0)", ())
    columns = {
        "encounter_id": "resource_id",
        "patient_id": fhir.reference_id("r.subject.reference", "Patient"),
        "status": "r.status",
        "class_code": "r.class.code",
        "class_system": "r.class.system",
        "type_code": f"{coding}.code",
        "type_text": fhir.concept_text("get(r.type, 0)", coding),
        "period_start": start,
        "period_start_text": "r.period.start",
        "period_end": end,
        "period_end_text": "r.period.`end`",
        "length_of_stay_hours": f"CASE WHEN {exact} AND {seconds} >= 0 THEN {seconds} / {_SECONDS_PER_HOUR}D END",
        "part_of_id": fhir.reference_id("r.partOf.reference", "Encounter"),
        "service_provider_id": fhir.reference_id("r.serviceProvider.reference", "Organization"),
    }
    flags = fhir.flags(
        (fhir.not_a_time("r.period.start", "r.period.`end`"), fhir.BAD_TIME), (f"{seconds} < 0", REVERSED_PERIOD)
    )
    return with_columns(fhir.read_body(rows, SCHEMA), rows, columns, flags)
