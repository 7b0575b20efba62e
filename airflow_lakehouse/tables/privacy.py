"""What silver keeps of each column when it is de-identified: an allow list, one rule a column.

A column without a rule is dropped, so that one that is added tomorrow is not let out by accident. The rules follow
the Safe Harbor method, 45 CFR 164.514(b)(2): names, places smaller than a state, dates more exact than a year, numbers
and names of records and files, and free text go; zip codes keep three digits where more than 20,000 people share them;
years of birth that tell an age over 89 go. Shifted dates are no part of Safe Harbor, but of expert determination.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.tables import silver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse.tables.spec import Table

SMALL_ZIPS: Final = [
    "036",
    "059",
    "063",
    "102",
    "203",
    "556",
    "692",
    "790",
    "821",
    "823",
    "830",
    "831",
    "878",
    "879",
    "884",
    "890",
    "893",
]
"""First three digits shared by 20,000 people or fewer, in the census of 2000: the list in the guidance of the US
Department of Health and Human Services on de-identification, section on zip codes. They become ``000``."""
OLDEST_AGE: Final = 89
"""Ages over this are one group."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a column.

    :param kind: ``keep``; ``drop``, to null; ``id``, to a keyed hash; ``reference``, ``codings``, ``code``, ``token``,
        ``number``, ``time``, ``grain_time``, ``year_text``, ``precision``, ``first``, ``last``, ``birth``,
        ``birth_text``, ``birth_first``, ``birth_last`` and ``zip`` as
        :mod:`airflow_lakehouse.spark.silver.privacy_rules` does them.
    :param of: resource type whose id it is; or the column that decides.
    """

    kind: str
    of: str = ""


ID_KINDS: Final = ("id", "reference")
"""Kinds of rule for what names a row; the others may build on the hashes these leave."""
KEEP: Final = Rule("keep")
DROP: Final = Rule("drop")
TIME: Final = Rule("time")
TOKEN: Final = Rule("token")
"""Kept where it looks like a code: no spaces, at most 64 characters. Text in a code's place is dropped."""
REFERENCE: Final = Rule("reference")
CODINGS: Final = Rule("codings")
YEAR_TEXT: Final = Rule("year_text")
_PATIENT: Final = Rule("id", "Patient")
_ENCOUNTER: Final = Rule("id", "Encounter")


def _as_sent(stem: str) -> dict[str, Rule]:
    """Return what becomes of that which is kept beside an instant; the offset tells a place, and goes."""
    precision = f"{stem}_precision"
    return {
        f"{stem}_text": YEAR_TEXT,
        precision: Rule("precision"),
        f"{stem}_low": Rule("first", precision),
        f"{stem}_high": Rule("last", precision),
    }


ORDERING: Final = {"version_id": DROP, "last_updated": TIME, "source_uri": Rule("id", "File")}
"""Columns that decide which row wins, and therefore are true until it is known."""
_LINEAGE: Final = {
    **ORDERING,
    "source_system": KEEP,
    "flags": KEEP,
    "ingested_at": KEEP,
    "batch_id": KEEP,
    "source_row": KEEP,
}
_PATIENT_RULES: Final = {
    "patient_id": KEEP,  # hashed where bronze is read, like every id of a row itself
    "gender": TOKEN,
    "birth_date": Rule("birth"),
    "birth_date_text": Rule("birth_text", "birth_date_low"),
    "birth_date_precision": Rule("precision"),
    "birth_date_low": Rule("birth_first", "birth_date_precision"),
    "birth_date_high": Rule("birth_last", "birth_date_precision"),
    "deceased": KEEP,
    "deceased_time": TIME,
    **_as_sent("deceased_time"),
    "race": KEEP,
    "ethnicity": KEEP,
    "birth_sex": TOKEN,
    "state": TOKEN,
    "postal_code": Rule("zip"),
    "country": TOKEN,
    "active": KEEP,
    "replaced_by": _PATIENT,
    **_LINEAGE,
}
_ENCOUNTER_RULES: Final = {
    "encounter_id": KEEP,
    "patient_id": _PATIENT,
    "status": TOKEN,
    "class_code": Rule("code", "class_system"),
    "class_system": TOKEN,
    "type_code": TOKEN,
    "period_start": TIME,
    **_as_sent("period_start"),
    "period_end": TIME,
    **_as_sent("period_end"),
    "length_of_stay_hours": KEEP,
    "part_of_id": _ENCOUNTER,
    "service_provider_id": Rule("id", "Organization"),
    "subject": REFERENCE,
    "part_of": REFERENCE,
    "service_provider": REFERENCE,
    **_LINEAGE,
}
_OBSERVATION_RULES: Final = {
    "patient_id": _PATIENT,
    "obs_time": Rule("grain_time"),
    "obs_code": Rule("code", "obs_code_system"),
    "obs_code_system": TOKEN,
    **_as_sent("obs_time"),
    "obs_time_source": KEEP,
    "observation_id": KEEP,
    "parent_observation_id": KEEP,
    "encounter_id": _ENCOUNTER,
    "status": TOKEN,
    "category": TOKEN,
    "value_type": KEEP,
    "value_number": KEEP,
    "value_text": Rule("number", "value_type"),
    "comparator": TOKEN,
    "unit_code": TOKEN,
    "unit_system": TOKEN,
    "value_code": Rule("code", "value_code_system"),
    "value_code_system": TOKEN,
    "value_time": TIME,
    "absent_reason": TOKEN,
    "codings": CODINGS,
    "subject": REFERENCE,
    "encounter": REFERENCE,
    **_LINEAGE,
}
_CONDITION_RULES: Final = {
    "condition_id": KEEP,
    "patient_id": _PATIENT,
    "encounter_id": _ENCOUNTER,
    "code": Rule("code", "code_system"),
    "code_system": TOKEN,
    "clinical_status": TOKEN,
    "verification_status": TOKEN,
    "onset_time": TIME,
    **_as_sent("onset"),
    "abatement_time": TIME,
    **_as_sent("abatement"),
    "recorded_time": TIME,
    **_as_sent("recorded"),
    "codings": CODINGS,
    "subject": REFERENCE,
    "encounter": REFERENCE,
    **_LINEAGE,
}
_BLOCK_RULES: Final = {
    # The hash of the content: only who has the document can tell whose it is, and bronze is joined by it.
    **dict.fromkeys(("doc_id", "page", "block_id", "block_type", "reading_order", "confidence"), KEEP),
    **dict.fromkeys(("confidence_source", "left", "top", "width", "height", "polygon", "parent_id"), KEEP),
    **dict.fromkeys(("row_index", "column_index", "row_span", "column_span", "engine", "engine_version"), KEEP),
    # Words of the engine, ids of blocks and decisions of people; keys and questions are text of the document.
    **dict.fromkeys(("parent_ids", "entity_types", "text_type", "selection_status", "continues_id", "review"), KEEP),
    "patient_id": _PATIENT,
    "encounter_id": _ENCOUNTER,
    "document_reference_id": KEEP,
    "diagnostic_report_id": KEEP,
    **_LINEAGE,
}
RULES: Final[Mapping[str, Mapping[str, Rule]]] = {
    silver.PATIENT.name: _PATIENT_RULES,
    silver.ENCOUNTER.name: _ENCOUNTER_RULES,
    silver.OBSERVATION.name: _OBSERVATION_RULES,
    # What is beside the observation's own columns was made by the run, from ids that are hashed already.
    silver.COLLISIONS.name: {**_OBSERVATION_RULES, "collision_reason": KEEP, "winner_observation_id": KEEP},
    silver.CONDITION.name: _CONDITION_RULES,
    silver.DOC_BLOCKS.name: _BLOCK_RULES,
}


def rule(table: Table, column: str) -> Rule:
    """Return what becomes of a column; what has no rule is dropped.

    :param table: a silver table.
    :param column: its name.
    """
    return RULES.get(table.name, {}).get(column, DROP)
