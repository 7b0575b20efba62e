"""Condition to silver_fct_condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.transforms import fhir, references, times
from airflow_lakehouse.spark.transforms.columns import with_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA: Final = (
    f"code {fhir.CONCEPT}, clinicalStatus {fhir.CONCEPT}, verificationStatus {fhir.CONCEPT},"
    f" subject {references.REFERENCE}, encounter {references.REFERENCE}, {references.CONTAINED},"
    " onsetDateTime STRING, onsetString STRING,"
    f" onsetPeriod {fhir.PERIOD}, onsetAge STRING, onsetRange STRING, abatementDateTime STRING,"
    f" abatementString STRING, abatementPeriod {fhir.PERIOD}, abatementAge STRING, abatementRange STRING,"
    " recordedDate STRING"
)
CODE_SYSTEMS: Final = ("http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")
"""Preferred code systems, the best first."""
_TIMES: Final = {
    "onset": "coalesce(r.onsetDateTime, r.onsetPeriod.start)",
    "abatement": "coalesce(r.abatementDateTime, r.abatementPeriod.start)",
    "recorded": "r.recordedDate",
}
_REFERENCES: Final = {"subject": "r.subject", "encounter": "r.encounter"}


def conditions(rows: DataFrame) -> DataFrame:
    """Read conditions.

    :param rows: rows of bronze_fhir_condition.
    :return: the same rows with the columns of silver_fct_condition added.
    """
    coding = fhir.preferred_coding("r.code", CODE_SYSTEMS)
    columns = {
        "condition_id": "resource_id",
        "patient_id": references.named_id("subject", "Patient"),
        "encounter_id": references.named_id("encounter", "Encounter"),
        "code": f"coalesce({coding}.code, r.code.text)",
        "code_system": f"{coding}.system",
        "code_text": fhir.concept_text("r.code", coding),
        "codings": "r.code.coding",
        "clinical_status": "get(r.clinicalStatus.coding, 0).code",
        "verification_status": "get(r.verificationStatus.coding, 0).code",
        **times.time_columns("onset_time", "onset", _said("onset")),
        **times.time_columns("abatement_time", "abatement", _said("abatement")),
        **times.time_columns("recorded_time", "recorded"),
    }
    flags = fhir.flags(
        (times.not_a_time(*_TIMES), times.BAD_TIME),
        (references.is_bad(*_REFERENCES), references.BAD_REFERENCE),
        (fhir.entered_in_error("get(r.verificationStatus.coding, 0).code"), fhir.ENTERED_IN_ERROR),
    )
    read = references.with_references(times.with_times(fhir.read_body(rows, SCHEMA), _TIMES), _REFERENCES)
    return with_columns(read, rows, {**columns, **{name: name for name in _REFERENCES}}, flags)


def _said(element: str) -> str:
    """Return an element as it was sent: a time, or what it may be that is none, in FHIR's order."""
    others = f"r.{element}String, {fhir.as_sent(f'r.{element}Age')}, {fhir.as_sent(f'r.{element}Range')}"
    return f"coalesce({_TIMES[element]}, {others})"
