"""The world as FHIR R4 resources.

Numbers are written as text and pasted in, so that 6.30 stays 6.30; ``json.dumps`` would make it 6.3.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow_lakehouse.cli.sample.world import Person, Visit

Resource = dict[str, Any]

_US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition"
_LOINC: Final = "http://loinc.org"
_UCUM: Final = "http://unitsofmeasure.org"
_SNOMED: Final = "http://snomed.info/sct"
_LABS: Final = (
    ("2339-0", "Glucose", "mg/dL", 70, 180, 0),
    ("4548-4", "Hemoglobin A1c", "%", 4, 10, 2),
    ("2160-0", "Creatinine", "mg/dL", 0.5, 2, 2),
    ("8310-5", "Body temperature", "Cel", 36, 39, 1),
    ("8867-4", "Heart rate", "/min", 50, 120, 0),
)
_CONDITIONS: Final = (("44054006", "Type 2 diabetes mellitus"), ("38341003", "Hypertension"), ("195967001", "Asthma"))
_NUMBER: Final = re.compile(r'"@(-?[0-9.eE+-]+)@"')
_OPEN_DAYS: Final = 30


def dumps(resource: Resource, *, indent: int | None = None) -> str:
    """Return a resource as JSON, its numbers as they were written.

    :param resource: the resource.
    :param indent: spaces a level, for a file a person reads.
    """
    separators = None if indent else (",", ":")
    return _NUMBER.sub(r"\1", json.dumps(resource, ensure_ascii=False, indent=indent, separators=separators))


def _number(text: str) -> str:
    return f"@{text}@"


def meta(day: date, version: int) -> Resource:
    """Return the meta of a resource.

    :param day: when it was last updated.
    :param version: which version it is.
    """
    instant = datetime.combine(day, time(6, version % 60), UTC)
    return {"versionId": str(version), "lastUpdated": instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def patient(person: Person, day: date, version: int = 1, **changed: Any) -> Resource:
    """Return a Patient.

    :param person: who.
    :param day: when it was last updated.
    :param version: which version it is.
    :param changed: elements that replace the usual ones.
    """

    def omb(name: str, system: str, code: str) -> Resource:
        coding = {"url": "ombCategory", "valueCoding": {"system": system, "code": code}}
        return {"url": f"{_US_CORE}/{name}", "extension": [coding]}

    system = "urn:oid:2.16.840.1.113883.6.238"
    record_number = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    return {
        "resourceType": "Patient",
        "id": person.id,
        # Every eleventh comes from a source that sends no meta.
        **({} if person.number % 11 == 0 and version == 1 else {"meta": meta(day, version)}),
        "extension": [
            omb("us-core-race", system, person.race),
            omb("us-core-ethnicity", system, person.ethnicity),
            {"url": f"{_US_CORE}/us-core-birthsex", "valueCode": {"female": "F", "male": "M"}.get(person.gender, "UNK")},
        ],
        "identifier": [{"type": record_number, "system": "urn:sample:mrn", "value": person.mrn}],
        "active": True,
        "name": [{"use": "official", "family": person.family, "given": [person.given]}],
        "gender": person.gender,
        "birthDate": person.birth_text,
        "address": [
            {"use": "home", "city": person.city, "state": person.state, "postalCode": person.postal_code, "country": "US"}
        ],
        **changed,
    }


def encounter(visit: Visit, day: date, version: int = 1) -> Resource:
    """Return an Encounter.

    :param visit: which.
    :param day: when it was last updated.
    :param version: which version it is.
    """
    period = {"start": visit.start.isoformat(), **({"end": visit.end.isoformat()} if visit.end else {})}
    return {
        "resourceType": "Encounter",
        "id": visit.id,
        "meta": meta(day, version),
        "status": "finished" if visit.end else "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": visit.kind},
        "type": [{"coding": [{"system": _SNOMED, "code": "308335008", "display": "Patient encounter procedure"}]}],
        "subject": {"reference": f"Patient/{visit.person.id}"},
        "period": period,
        "serviceProvider": {"reference": "Organization/org-1"},
    }


def of_visit(seed: int, visit: Visit, day: date) -> Iterator[Resource]:
    """Yield what an encounter leaves behind: measurements, a diagnosis, and what bronze keeps as other.

    :param seed: of the world.
    :param visit: the encounter.
    :param day: when it was recorded.
    """
    chance = random.Random(f"{seed}/of_visit/{visit.id}")  # noqa: S311
    for place, (code, name, unit, low, high, digits) in enumerate(_LABS):
        value = f"{chance.uniform(low, high):.{digits}f}"
        yield observation(visit, day, f"{place}", code, name, valueQuantity=_quantity(value, unit))
    yield blood_pressure(visit, day, chance)
    yield _odd_observation(visit, day, chance)
    if chance.random() < 0.6:  # noqa: PLR2004 - not every visit ends in a diagnosis
        yield _condition(visit, day, chance)
    yield {
        "resourceType": "Procedure",
        "id": f"proc-{visit.id}",
        "meta": meta(day, 1),
        "status": "completed",
        "subject": {"reference": f"Patient/{visit.person.id}"},
        "code": {"text": "History taking"},
    }


def observation(visit: Visit, day: date, suffix: str, code: str, name: str, **rest: Any) -> Resource:  # noqa: PLR0913
    """Return an Observation made ten minutes into an encounter.

    :param visit: the encounter.
    :param day: when it was recorded.
    :param suffix: makes the id unique within the encounter.
    :param code: LOINC code.
    :param name: the code in words.
    :param rest: value, components, or whatever replaces the usual elements.
    """
    return {
        "resourceType": "Observation",
        "id": f"obs-{visit.id.removeprefix('enc-')}-{suffix}",
        "meta": meta(day, 1),
        "status": "final",
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": {"coding": [{"system": _LOINC, "code": code, "display": name}], "text": name},
        "subject": {"reference": f"Patient/{visit.person.id}"},
        "encounter": {"reference": f"Encounter/{visit.id}"},
        "effectiveDateTime": (visit.start + timedelta(minutes=10)).isoformat(),
        **rest,
    }


def blood_pressure(visit: Visit, day: date, chance: random.Random) -> Resource:
    """Return a blood pressure: one Observation, two components.

    :param visit: the encounter.
    :param day: when it was recorded.
    :param chance: source of the values.
    """
    parts = []
    for code, name, low, high in (("8480-6", "Systolic", 95, 180), ("8462-4", "Diastolic", 55, 110)):
        coding = {"coding": [{"system": _LOINC, "code": code, "display": f"{name} blood pressure"}]}
        parts.append({"code": coding, "valueQuantity": _quantity(str(chance.randint(low, high)), "mm[Hg]")})
    return observation(visit, day, "bp", "85354-9", "Blood pressure panel", component=parts)


def _odd_observation(visit: Visit, day: date, chance: random.Random) -> Resource:
    kind = chance.randrange(5)
    if kind == 0:
        rest: Resource = {"valueQuantity": {**_quantity("0.05", "ng/mL"), "comparator": "<"}}
        return observation(visit, day, "tropo", "6598-7", "Troponin T", **rest)
    if kind == 1:
        value = {"coding": [{"system": _SNOMED, "code": "260385009", "display": "Negative"}]}
        return observation(visit, day, "flu", "80382-5", "Influenza A", valueCodeableConcept=value)
    if kind == 2:  # noqa: PLR2004
        return observation(visit, day, "note", "8716-3", "Vital signs note", valueString="resting, \"calm\"")
    if kind == 3:  # noqa: PLR2004
        absent = {"coding": [{"code": "not-performed"}]}
        return observation(visit, day, "absent", "29463-7", "Body weight", dataAbsentReason=absent)
    on_day = visit.start.date().isoformat()
    return observation(
        visit, day, "weight", "29463-7", "Body weight", effectiveDateTime=on_day, valueQuantity=_quantity("72.50", "kg")
    )


def _condition(visit: Visit, day: date, chance: random.Random) -> Resource:
    code, name = chance.choice(_CONDITIONS)
    return {
        "resourceType": "Condition",
        "id": f"cond-{visit.id.removeprefix('enc-')}",
        "meta": meta(day, 1),
        "clinicalStatus": {"coding": [{"code": chance.choice(("active", "active", "resolved"))}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
        "code": {"coding": [{"system": _SNOMED, "code": code, "display": name}], "text": name},
        "subject": {"reference": f"Patient/{visit.person.id}"},
        "encounter": {"reference": f"Encounter/{visit.id}"},
        "onsetDateTime": (visit.start - timedelta(days=chance.randrange(_OPEN_DAYS))).date().isoformat(),
        "recordedDate": visit.start.isoformat(),
    }


def document_reference(person: Person, visit_id: str, day: date, url: str) -> Resource:
    """Return a DocumentReference that names a PDF of the drop.

    :param person: whom the document is about.
    :param visit_id: encounter it belongs to.
    :param day: when it was recorded.
    :param url: path of the PDF from the root of the drop.
    """
    name = url.rsplit("/", 1)[-1].removesuffix(".pdf")
    return {
        "resourceType": "DocumentReference",
        "id": f"doc-{name}",
        "meta": meta(day, 1),
        "status": "current",
        "subject": {"reference": f"Patient/{person.id}"},
        "context": {"encounter": [{"reference": f"Encounter/{visit_id}"}]},
        "content": [{"attachment": {"contentType": "application/pdf", "url": url}}],
    }


def _quantity(value: str, unit: str) -> Resource:
    return {"value": _number(value), "unit": unit, "system": _UCUM, "code": unit}
