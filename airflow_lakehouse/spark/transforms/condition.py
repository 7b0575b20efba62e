"""Condition to silver_fct_condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.transforms import fhir
from airflow_lakehouse.spark.transforms.columns import with_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA: Final = (
    f"code {fhir.CONCEPT}, clinicalStatus {fhir.CONCEPT}, verificationStatus {fhir.CONCEPT},"
    f" subject {fhir.REFERENCE}, encounter {fhir.REFERENCE}, onsetDateTime STRING, onsetString STRING,"
    f" onsetPeriod {fhir.PERIOD}, onsetAge STRING, onsetRange STRING, abatementDateTime STRING,"
    f" abatementPeriod {fhir.PERIOD}, recordedDate STRING"
)
CODE_SYSTEMS: Final = ("http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")
"""Preferred code systems, the best first."""


def conditions(rows: DataFrame) -> DataFrame:
    """Read conditions.

    :param rows: rows of bronze_fhir_condition.
    :return: the same rows with the columns of silver_fct_condition added.
    """
    coding = fhir.preferred_coding("r.code", CODE_SYSTEMS)
    onset = "coalesce(r.onsetDateTime, r.onsetPeriod.start)"
    abatement = "coalesce(r.abatementDateTime, r.abatementPeriod.start)"
    columns = {
        "condition_id": "resource_id",
        "patient_id": fhir.reference_id("r.subject.reference", "Patient"),
        "encounter_id": fhir.reference_id("r.encounter.reference", "Encounter"),
        "code": f"coalesce({coding}.code, r.code.text)",
        "code_system": f"{coding}.system",
        "code_text": fhir.concept_text("r.code", coding),
        "clinical_status": "get(r.clinicalStatus.coding, 0).code",
        "verification_status": "get(r.verificationStatus.coding, 0).code",
        "onset_time": fhir.instant(onset),
        "onset_text": f"coalesce({onset}, r.onsetString, r.onsetAge, r.onsetRange)",
        "abatement_time": fhir.instant(abatement),
        "recorded_time": fhir.instant("r.recordedDate"),
    }
    flags = fhir.flags((fhir.not_a_time(onset, abatement, "r.recordedDate"), fhir.BAD_TIME))
    return with_columns(fhir.read_body(rows, SCHEMA), rows, columns, flags)
