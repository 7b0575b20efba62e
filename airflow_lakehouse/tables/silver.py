"""Silver: typed, deduplicated, conformed. One row per thing the source talks about."""

from __future__ import annotations

from typing import Final

from airflow_lakehouse.tables import bronze
from airflow_lakehouse.tables.checks import Check, Drift, one_of, ordered, within
from airflow_lakehouse.tables.spec import Column, Keep, Partition, Table

KEEP_NEWEST: Final = Keep(
    (
        "last_updated",
        "version_number",
        "ingested_at",
        "body_sha256",
        "source_uri",
        "source_etag",
        "source_row",
        "source_entry",
    )
)
"""Which version of a resource wins. The source's own clock and version come first, so that an older version
that arrives late never overwrites a newer one; a source that sends neither gets "latest ingested_at wins"."""

_LINEAGE: Final = (
    Column("source_system", "string", "Who sent it; leads every key, so two hospitals never collide", required=True),
    bronze.FLAGS,
    Column("version_id", "string", "meta.versionId of the winning version"),
    Column("last_updated", "timestamp", "meta.lastUpdated of the winning version"),
    Column("ingested_at", "timestamp", "When the winning version's file was first loaded", required=True),
    Column("batch_id", "string", "Batch that first loaded it", required=True),
    Column("source_uri", "string", "File it came from", required=True),
    Column("source_row", "long", "1-based line, Bundle entry, array element or page", required=True),
)

REFERENCE: Final = "struct<kind:string,type:string,id:string,base:string,version:string>"
"""A FHIR reference taken apart; its kinds are those of https://hl7.org/fhir/R4/references.html."""
CODINGS: Final = Column(
    "codings", "array<struct<system:string,code:string,display:string>>", "Every coding of the code, in source order"
)


def _as_sent(stem: str, what: str) -> tuple[Column, ...]:
    """Return what is kept beside an instant: https://hl7.org/fhir/R4/datatypes.html#dateTime."""
    return (
        Column(f"{stem}_text", "string", f"{what} exactly as sent"),
        Column(f"{stem}_precision", "string", "How exactly that tells it: year, month, day, second or fraction"),
        Column(f"{stem}_offset", "string", "Offset from UTC as sent, Z or +hh:mm; null where none was"),
        Column(f"{stem}_low", "timestamp", "Earliest instant the text allows"),
        Column(f"{stem}_high", "timestamp", "Latest instant the text allows"),
    )


DRIFT: Final = Drift(least=0.5, counts_from=1000)
"""A drop that arrives cut off takes the rows of the whole one with it: that is asked about before readers see it."""


def _checks_of(columns: tuple[Column, ...]) -> tuple[Check, ...]:
    """Return the checks of what is kept beside dates and instants."""
    names = {column.name for column in columns}
    stems = sorted(name.removesuffix("_low") for name in names if name.endswith("_low"))
    precisions = sorted(name for name in names if name.endswith("_precision"))
    return (
        *(ordered(f"{stem}_low", f"{stem}_high") for stem in stems),
        *(one_of(name, "year", "month", "day", "second", "fraction") for name in precisions),
    )


def _reference(name: str, what: str) -> Column:
    return Column(name, REFERENCE, f"Reference to {what}: kind, type, id, base URL and version, whatever its form")


_PATIENT_NAME: Final = "silver_dim_patient"
_ENCOUNTER_NAME: Final = "silver_fct_encounter"

_PATIENT: Final = (
    Column("patient_id", "string", "FHIR logical id of the patient", required=True),
    Column("family", "string", "Family name of the chosen name: official, then usual, then the first"),
    Column("given", "array<string>", "Given names of the chosen name"),
    Column("gender", "string", "Administrative gender as sent"),
    Column("birth_date", "date", "Birth date; null where the source knows only year or month"),
    Column("birth_date_text", "string", "Birth date exactly as sent"),
    Column("birth_date_precision", "string", "year, month or day"),
    Column("birth_date_low", "date", "Earliest day the text allows"),
    Column("birth_date_high", "date", "Latest day the text allows"),
    Column("deceased", "boolean", "Whether the patient died; null where the source does not say"),
    Column("deceased_time", "timestamp", "When, where known to the day"),
    *_as_sent("deceased_time", "Time of death"),
    Column("race", "array<string>", "US Core race codes, OMB categories first"),
    Column("ethnicity", "array<string>", "US Core ethnicity codes, OMB categories first"),
    Column("birth_sex", "string", "US Core birth sex"),
    Column("mrn", "string", "Medical record number: the identifier of type MR, else of use official or usual"),
    Column("city", "string", "City of the chosen address: home first, then the first"),
    Column("state", "string", "State of the chosen address"),
    Column("postal_code", "string", "Postal code of the chosen address"),
    Column("country", "string", "Country of the chosen address"),
    Column("active", "boolean", "Whether the record is in use, as sent"),
    Column(
        "replaced_by",
        "string",
        "Patient that replaces this one (link of type replaced-by)",
        refers_to=_PATIENT_NAME,
    ),
    *_LINEAGE,
)
PATIENT: Final = Table(
    name=_PATIENT_NAME,
    namespace="silver",
    grain="one row per source system and patient",
    columns=_PATIENT,
    key=("source_system", "patient_id"),
    keep=KEEP_NEWEST,
    reads=(bronze.PATIENT.name,),
    checks=_checks_of(_PATIENT),
    drift=DRIFT,
)
_ENCOUNTER: Final = (
    Column("encounter_id", "string", "FHIR logical id of the encounter", required=True),
    Column("patient_id", "string", "Patient the encounter is about", refers_to=_PATIENT_NAME),
    Column("status", "string", "planned, in-progress, finished ..."),
    Column("class_code", "string", "Class: AMB, IMP, EMER ..."),
    Column("class_system", "string", "Code system of the class"),
    Column("class_text", "string", "The class in words"),
    Column("type_code", "string", "First type code"),
    Column("type_text", "string", "Type in words"),
    Column("period_start", "timestamp", "Start"),
    *_as_sent("period_start", "Start"),
    Column("period_end", "timestamp", "End; null while the encounter is open"),
    *_as_sent("period_end", "End"),
    Column("length_of_stay_hours", "double", "End minus start, hours; null when open, partial or reversed"),
    Column("part_of_id", "string", "Encounter this one is part of", refers_to=_ENCOUNTER_NAME),
    Column("service_provider_id", "string", "Organization that provides it"),
    _reference("subject", "whom the encounter is about"),
    _reference("part_of", "the encounter this one is part of"),
    _reference("service_provider", "who provides it"),
    *_LINEAGE,
)
ENCOUNTER: Final = Table(
    name=_ENCOUNTER_NAME,
    namespace="silver",
    grain="one row per source system and encounter",
    columns=_ENCOUNTER,
    key=("source_system", "encounter_id"),
    keep=KEEP_NEWEST,
    partitions=(Partition("encounter_id", "bucket", 4),),
    reads=(bronze.ENCOUNTER.name, bronze.PATIENT.name),
    checks=(*_checks_of(_ENCOUNTER), within("length_of_stay_hours", 0)),
    drift=DRIFT,
)
_OBSERVATION: Final = (
    Column("patient_id", "string", "Patient the observation is about", refers_to=_PATIENT_NAME),
    Column("obs_time", "timestamp", "When it was observed; null where known only to the month or year"),
    Column("obs_code", "string", "Code: the LOINC coding, else the first coding, else the text"),
    Column("obs_code_system", "string", "Code system of obs_code"),
    Column("obs_code_text", "string", "The code in words"),
    *_as_sent("obs_time", "Time"),
    Column("obs_time_source", "string", "Element the time comes from: effectiveDateTime, effectiveInstant ..."),
    Column(
        "observation_id", "string", "FHIR logical id; a component's is its parent's, '#' and its place", required=True
    ),
    Column("parent_observation_id", "string", "Observation this row is a component of"),
    Column("encounter_id", "string", "Encounter it was made in", refers_to=_ENCOUNTER_NAME),
    Column("status", "string", "registered, preliminary, final, amended ..."),
    Column("category", "string", "First category code"),
    Column("value_type", "string", "Quantity, CodeableConcept, string ...: the X of value[x]"),
    Column("value_number", "decimal(38,12)", "Numeric value; exact text in value_text"),
    Column("value_text", "string", "Value exactly as sent; of one with parts its JSON, without white space"),
    Column("comparator", "string", "<, <=, >= or >"),
    Column("unit", "string", "Unit in words"),
    Column("unit_code", "string", "Unit code"),
    Column("unit_system", "string", "Code system of the unit"),
    Column("value_code", "string", "Code of a coded value"),
    Column("value_code_system", "string", "Code system of the coded value"),
    Column("value_time", "timestamp", "Value that is a time"),
    Column("absent_reason", "string", "Why there is no value"),
    CODINGS,
    _reference("subject", "whom the observation is about"),
    _reference("encounter", "the encounter it was made in"),
)
_OBSERVATION_KEY: Final = ("source_system", "patient_id", "obs_time", "obs_code")
OBSERVATION: Final = Table(
    name="silver_fct_observation",
    namespace="silver",
    grain="one row per source system, patient, observation time and code",
    columns=(*_OBSERVATION, *_LINEAGE),
    key=_OBSERVATION_KEY,
    keep=KEEP_NEWEST,
    partitions=(Partition("patient_id", "bucket", 8),),
    reads=(bronze.OBSERVATION.name, bronze.PATIENT.name, bronze.ENCOUNTER.name),
    doc=(
        "Rows that share the grain with a newer one, or lack a part of it, are in silver_observation_collisions. Of two"
        " with one key, a row flagged ENTERED_IN_ERROR gives way to any other."
    ),
    checks=_checks_of(_OBSERVATION),
    drift=DRIFT,
)
COLLISIONS: Final = Table(
    name="silver_observation_collisions",
    namespace="silver",
    grain="one row per source system and observation (or component) that the grain has no place for",
    columns=(
        *_OBSERVATION,
        Column("collision_reason", "string", "SAME_KEY, or NULL_<the missing part of the grain>", required=True),
        Column("winner_observation_id", "string", "Observation that holds the key; null where the key has a null"),
        *_LINEAGE,
    ),
    key=("source_system", "observation_id"),
    keep=KEEP_NEWEST,
    reads=(bronze.OBSERVATION.name, bronze.PATIENT.name, bronze.ENCOUNTER.name),
    checks=_checks_of(_OBSERVATION),
)
_CONDITION: Final = (
    Column("condition_id", "string", "FHIR logical id of the condition", required=True),
    Column("patient_id", "string", "Patient who has it", refers_to=_PATIENT_NAME),
    Column("encounter_id", "string", "Encounter it was recorded in", refers_to=_ENCOUNTER_NAME),
    Column("code", "string", "SNOMED CT code, else ICD-10, else the first coding, else the text"),
    Column("code_system", "string", "Code system of the code"),
    Column("code_text", "string", "The code in words"),
    Column("clinical_status", "string", "active, recurrence, relapse, inactive, remission, resolved"),
    Column("verification_status", "string", "unconfirmed, provisional, differential, confirmed, refuted ..."),
    Column("onset_time", "timestamp", "Onset, where known to the day"),
    *_as_sent("onset", "Onset"),
    Column("abatement_time", "timestamp", "Abatement, where known to the day"),
    *_as_sent("abatement", "Abatement"),
    Column("recorded_time", "timestamp", "When it was recorded"),
    *_as_sent("recorded", "Time of recording"),
    CODINGS,
    _reference("subject", "who has it"),
    _reference("encounter", "the encounter it was recorded in"),
    *_LINEAGE,
)
CONDITION: Final = Table(
    name="silver_fct_condition",
    namespace="silver",
    grain="one row per source system and condition",
    columns=_CONDITION,
    key=("source_system", "condition_id"),
    keep=KEEP_NEWEST,
    reads=(bronze.CONDITION.name, bronze.PATIENT.name, bronze.ENCOUNTER.name),
    checks=_checks_of(_CONDITION),
    drift=DRIFT,
)
DOC_BLOCKS: Final = Table(
    name="silver_fct_doc_blocks",
    namespace="silver",
    grain="one row per source system and block of one document",
    columns=(
        bronze.DOC_ID,
        bronze.PAGE,
        *bronze.BLOCK,
        Column("patient_id", "string", "Patient the document is about; null where none or several are named"),
        Column("encounter_id", "string", "Encounter the document belongs to; null where none or several are named"),
        Column("document_reference_id", "string", "DocumentReference that names or holds the document"),
        Column("diagnostic_report_id", "string", "DiagnosticReport that names or holds the document"),
        *_LINEAGE,
    ),
    key=("source_system", "doc_id", "block_id"),
    keep=Keep(("ingested_at", "source_uri", "source_etag", "block_id")),
    reads=(
        bronze.DOCS_TEXT.name,
        bronze.DOCUMENT_REFERENCE.name,
        bronze.OTHER.name,
        bronze.ATTACHMENTS.name,
        bronze.DOCS_MANIFEST.name,
    ),
    doc="The same bytes under two names, or in a record, are one document. Pages a person rejected are left out.",
    checks=(
        within("page", 1),
        within("confidence", 0, 100),
        # Textract's own boxes reach a hair beyond the page.
        *(within(name, -0.1, 1.1) for name in ("left", "top", "width", "height")),
    ),
    drift=DRIFT,
)

TABLES: Final = (PATIENT, ENCOUNTER, OBSERVATION, COLLISIONS, CONDITION, DOC_BLOCKS)
