"""The world as FHIR R4 resources.

Numbers are written as text and pasted in, so that 6.30 stays 6.30; ``json.dumps`` would make it 6.3.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.cli.sample.world import recorded_at

if TYPE_CHECKING:
    import random
    from datetime import date

    from airflow_lakehouse.cli.sample.world import Person, Visit

Resource = dict[str, Any]

SNOMED: Final = "http://snomed.info/sct"
TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition"
_CDC_RACE: Final = "urn:oid:2.16.840.1.113883.6.238"
_RACES: Final = {
    "2106-3": "White",
    "2054-5": "Black or African American",
    "2028-9": "Asian",
    "2135-2": "Hispanic or Latino",
    "2186-5": "Not Hispanic or Latino",
}
_CONDITIONS: Final = (
    ("44054006", "Type 2 diabetes mellitus"),
    ("38341003", "Hypertensive disorder"),
    ("195967001", "Asthma"),
    ("13645005", "Chronic obstructive lung disease"),
    ("84114007", "Heart failure"),
)
_TYPES: Final = {
    "AMB": ("185349003", "Encounter for check up"),
    "EMER": ("50849002", "Emergency room admission"),
    "IMP": ("32485007", "Hospital admission"),
}
_PROCEDURES: Final = (("710824005", "Assessment of health"), ("84100007", "History taking"))
_NUMBER: Final = re.compile(r'"@(-?[0-9.eE+-]+)@"')
# Made once: json.dumps with options makes a new one for every record, a fifth of the time of a large sample.
_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_PRETTY: Final = json.JSONEncoder(ensure_ascii=False, indent=2)


def dumps(resource: Resource, *, pretty: bool = False) -> str:
    """Return a resource as JSON, its numbers as they were written.

    :param resource: the resource.
    :param pretty: over many lines, as in a file that a person reads.
    """
    return _NUMBER.sub(r"\1", (_PRETTY if pretty else _COMPACT).encode(resource))


def number(text: str) -> str:
    """Return a number that :func:`dumps` writes exactly so.

    :param text: its digits.
    """
    return f"@{text}@"


@lru_cache(maxsize=256)
def meta(day: date, version: int) -> Resource:
    """Return the meta of a resource; one object for all of that day and version, so it must not be changed.

    :param day: when it was last updated.
    :param version: which version it is.
    """
    instant = recorded_at(day, version).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"versionId": str(version), "lastUpdated": instant}


def patient(person: Person, day: date, version: int = 1) -> Resource:
    """Return a Patient with US Core's race, ethnicity and birth sex.

    :param person: who.
    :param day: when it was last updated.
    :param version: which version it is.
    """
    record_number = {"coding": [{"system": f"{TERMINOLOGY}/v2-0203", "code": "MR"}]}
    return {
        "resourceType": "Patient",
        "id": person.id,
        # Every eleventh comes from a source that sends no meta, as long as nothing changes.
        **({} if person.number % 11 == 0 and version == 1 else {"meta": meta(day, version)}),
        "extension": [
            _omb("us-core-race", person.race),
            _omb("us-core-ethnicity", person.ethnicity),
            {
                "url": f"{_US_CORE}/us-core-birthsex",
                "valueCode": {"female": "F", "male": "M"}.get(person.gender, "UNK"),
            },
        ],
        "identifier": [
            {"use": "usual", "type": record_number, "system": "http://hospital.example.org/mrn", "value": person.mrn}
        ],
        "active": True,
        "name": [{"use": "official", "family": person.family, "given": list(person.given)}],
        "gender": person.gender,
        "birthDate": person.birth_text,
        "address": [
            {
                "use": "home",
                "line": [person.line],
                "city": person.city,
                "state": person.state,
                "postalCode": person.postal_code,
                "country": "US",
            }
        ],
    }


def _omb(name: str, code: str) -> Resource:
    coding = {"system": _CDC_RACE, "code": code, "display": _RACES[code]}
    parts = [{"url": "ombCategory", "valueCoding": coding}, {"url": "text", "valueString": _RACES[code]}]
    return {"url": f"{_US_CORE}/{name}", "extension": parts}


def encounter(visit: Visit, day: date, version: int = 1) -> Resource:
    """Return an Encounter.

    :param visit: which.
    :param day: when it was last updated.
    :param version: which version it is.
    """
    code, name = _TYPES[visit.kind]
    return {
        "resourceType": "Encounter",
        "id": visit.id,
        "meta": meta(day, version),
        "status": "finished" if visit.end else "in-progress",
        "class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": visit.kind},
        "type": [{"coding": [{"system": SNOMED, "code": code, "display": name}], "text": name}],
        "subject": {"reference": f"Patient/{visit.person.id}"},
        "period": {"start": visit.start.isoformat(), **({"end": visit.end.isoformat()} if visit.end else {})},
        "serviceProvider": {"reference": "Organization/org-1"},
        **({"partOf": {"reference": f"Encounter/{visit.part_of}"}} if visit.part_of else {}),
    }


def aftermath(visit: Visit, day: date, chance: random.Random) -> list[Resource]:
    """Return what an encounter leaves behind beside measurements: a diagnosis, a procedure, an immunization.

    :param visit: the encounter.
    :param day: when it was recorded.
    :param chance: decides what of it.
    """
    found = []
    if chance.random() < 0.6:  # noqa: PLR2004 - not every visit ends in a diagnosis
        found.append(_condition(visit, day, chance))
    code, name = chance.choice(_PROCEDURES)
    found.append(_other("Procedure", "proc", visit, day))
    found[-1] |= {
        "status": "completed",
        "code": {"coding": [{"system": SNOMED, "code": code, "display": name}], "text": name},
        "subject": {"reference": f"Patient/{visit.person.id}"},
        "performedDateTime": visit.start.isoformat(),
    }
    if chance.random() < 0.3:  # noqa: PLR2004 - nor with a shot
        vaccine = {"system": "http://hl7.org/fhir/sid/cvx", "code": "140", "display": "Influenza, seasonal"}
        found.append(_other("Immunization", "imm", visit, day))
        # No meta: small registries send none.
        del found[-1]["meta"]
        found[-1] |= {
            "status": "completed",
            "vaccineCode": {"coding": [vaccine]},
            "patient": {"reference": f"Patient/{visit.person.id}"},
            "occurrenceDateTime": visit.start.date().isoformat(),
        }
    return found


def _other(resource_type: str, prefix: str, visit: Visit, day: date) -> Resource:
    return {
        "resourceType": resource_type,
        "id": f"{prefix}-{visit.id.removeprefix('enc-')}",
        "meta": meta(day, 1),
        "encounter": {"reference": f"Encounter/{visit.id}"},
    }


def _condition(visit: Visit, day: date, chance: random.Random) -> Resource:
    code, name = chance.choice(_CONDITIONS)
    status = chance.choice(("active", "active", "resolved"))
    onset = visit.start - timedelta(days=chance.randrange(30, 3000))
    abated = {"abatementDateTime": visit.start.date().isoformat()} if status == "resolved" else {}
    return {
        **_other("Condition", "cond", visit, day),
        "clinicalStatus": {"coding": [{"system": f"{TERMINOLOGY}/condition-clinical", "code": status}]},
        "verificationStatus": {"coding": [{"system": f"{TERMINOLOGY}/condition-ver-status", "code": "confirmed"}]},
        "code": {"coding": [{"system": SNOMED, "code": code, "display": name}], "text": name},
        "subject": {"reference": f"Patient/{visit.person.id}"},
        "onsetDateTime": onset.date().isoformat(),
        **abated,
        "recordedDate": visit.start.isoformat(),
    }


def document_reference(visit: Visit, day: date, name: str, url: str) -> Resource:
    """Return a DocumentReference.

    :param visit: encounter the document belongs to.
    :param day: when it was recorded.
    :param name: makes the id.
    :param url: where the document is: a path from the root of the drop, or somewhere else.
    """
    return {
        "resourceType": "DocumentReference",
        "id": f"doc-{name}",
        "meta": meta(day, 1),
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "34133-9", "display": "Summary of episode note"}]},
        "subject": {"reference": f"Patient/{visit.person.id}"},
        "date": recorded_at(day, 0).isoformat(),
        "content": [{"attachment": {"contentType": "application/pdf", "url": url}}],
        "context": {"encounter": [{"reference": f"Encounter/{visit.id}"}]},
    }
