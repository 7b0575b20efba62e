"""Encounter to silver_fct_encounter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.transforms import fhir, references, times
from airflow_lakehouse.spark.transforms.columns import with_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA: Final = (
    f"status STRING, class {fhir.CODING}, type ARRAY<{fhir.CONCEPT}>, subject {references.REFERENCE},"
    f" period {fhir.PERIOD}, partOf {references.REFERENCE}, serviceProvider {references.REFERENCE},"
    f" {references.CONTAINED}"
)
REVERSED_PERIOD: Final = "REVERSED_PERIOD"
"""Flag: the period ends before it starts."""
_PERIOD: Final = {"period_start": "r.period.start", "period_end": "r.period.`end`"}
_SECONDS_PER_HOUR: Final = 3600.0
_REFERENCES: Final = {
    "subject": "r.subject",
    "part_of": "r.partOf",
    "service_provider": "r.serviceProvider",
}


def encounters(rows: DataFrame) -> DataFrame:
    """Read encounters.

    :param rows: rows of bronze_fhir_encounter.
    :return: the same rows with the columns of silver_fct_encounter added.
    """
    start, end = (times.time_columns(stem, stem) for stem in _PERIOD)
    seconds = f"(unix_micros({end['period_end']}) - unix_micros({start['period_start']})) / 1e6D"
    # A day has no hours: the stay of a patient who left "on the 3rd" is not known to the hour.
    exact = " AND ".join(map(times.is_exact, _PERIOD))
    coding = fhir.preferred_coding("get(r.type, 0)", ())
    columns = {
        "encounter_id": "resource_id",
        "patient_id": references.named_id("subject", "Patient"),
        "status": "r.status",
        "class_code": "r.class.code",
        "class_system": "r.class.system",
        "class_text": "r.class.display",
        "type_code": f"{coding}.code",
        "type_text": fhir.concept_text("get(r.type, 0)", coding),
        **start,
        **end,
        "length_of_stay_hours": f"CASE WHEN {exact} AND {seconds} >= 0 THEN {seconds} / {_SECONDS_PER_HOUR}D END",
        "part_of_id": references.named_id("part_of", "Encounter"),
        "service_provider_id": references.named_id("service_provider", "Organization"),
    }
    flags = fhir.flags(
        (times.not_a_time(*_PERIOD), times.BAD_TIME),
        (times.is_reversed(*_PERIOD), REVERSED_PERIOD),
        (references.is_bad(*_REFERENCES), references.BAD_REFERENCE),
        (fhir.entered_in_error("r.status"), fhir.ENTERED_IN_ERROR),
    )
    read = references.with_references(times.with_times(fhir.read_body(rows, SCHEMA), _PERIOD), _REFERENCES)
    return with_columns(read, rows, {**columns, **{name: name for name in _REFERENCES}}, flags)
