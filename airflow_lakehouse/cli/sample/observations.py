"""What was measured in an encounter, as FHIR Observations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.cli.sample.resources import SNOMED, TERMINOLOGY, Resource, meta, number

if TYPE_CHECKING:
    import random
    from datetime import date

    from airflow_lakehouse.cli.sample.world import Visit

_LOINC: Final = "http://loinc.org"
_UCUM: Final = "http://unitsofmeasure.org"
_LAB, _VITAL = "laboratory", "vital-signs"
_CATEGORY: Final = {
    code: [{"coding": [{"system": f"{TERMINOLOGY}/observation-category", "code": code}]}] for code in (_LAB, _VITAL)
}


@dataclass(frozen=True, slots=True)
class _Measure:
    """Something that is measured, the range its values come from, and the digits the device prints."""

    code: str
    name: str
    unit: str
    low: float
    high: float
    digits: int
    category: str = _LAB


_MEASURES: Final = (
    _Measure("2339-0", "Glucose", "mg/dL", 70, 180, 0),
    _Measure("4548-4", "Hemoglobin A1c", "%", 4, 10, 2),
    _Measure("2160-0", "Creatinine", "mg/dL", 0.5, 2, 2),
    _Measure("2823-3", "Potassium", "mmol/L", 3.2, 5.4, 1),
    _Measure("718-7", "Hemoglobin", "g/dL", 9, 17, 1),
    _Measure("8310-5", "Body temperature", "Cel", 36, 39, 1, _VITAL),
    _Measure("8867-4", "Heart rate", "/min", 50, 120, 0, _VITAL),
    _Measure("9279-1", "Respiratory rate", "/min", 12, 24, 0, _VITAL),
)
_PRESSURES: Final = (("8480-6", "Systolic", 95, 180), ("8462-4", "Diastolic", 55, 94))


def of_visit(visit: Visit, day: date, chance: random.Random) -> list[Resource]:
    """Return the Observations of an encounter; the first two are plain quantities.

    :param visit: the encounter.
    :param day: when they were recorded.
    :param chance: source of the values.
    """
    found = []
    base = _base(visit, day)
    for place, measure in enumerate(_MEASURES):
        value = f"{chance.uniform(measure.low, measure.high):.{measure.digits}f}"
        one = _observation(visit, base, str(place), (measure.code, measure.name), measure.category)
        one["valueQuantity"] = _quantity(value, measure.unit)
        found.append(one)
    found += [_blood_pressure(visit, base, chance), _unusual(visit, base, chance)]
    return found


def amended(observation: Resource, day: date, version: int = 2) -> Resource:
    """Return a later version of an Observation: status ``amended`` and another value.

    :param observation: one with a quantity.
    :param day: when it was amended.
    :param version: which version it is.
    """
    return {**with_other_value(observation), "meta": meta(day, version), "status": "amended"}


def with_other_value(observation: Resource) -> Resource:
    """Return an Observation with its value raised by one, its digits kept.

    :param observation: one with a quantity.
    """
    quantity = observation["valueQuantity"]
    return {
        **observation,
        "valueQuantity": {**quantity, "value": number(str(Decimal(quantity["value"].strip("@")) + 1))},
    }


def _base(visit: Visit, day: date) -> Resource:
    """Return what all Observations of an encounter share, made ten minutes into it."""
    return {
        "meta": meta(day, 1),
        "status": "final",
        "subject": {"reference": f"Patient/{visit.person.id}"},
        "encounter": {"reference": f"Encounter/{visit.id}"},
        "effectiveDateTime": (visit.start + timedelta(minutes=10)).isoformat(),
    }


def _observation(visit: Visit, base: Resource, suffix: str, code: tuple[str, str], category: str = _LAB) -> Resource:
    """Return an Observation without a value."""
    return {
        "resourceType": "Observation",
        "id": f"obs-{visit.id.removeprefix('enc-')}-{suffix}",
        **base,
        "category": _CATEGORY[category],
        "code": _coded(*code),
    }


@lru_cache(maxsize=64)
def _coded(code: str, name: str) -> Resource:
    return {"coding": [{"system": _LOINC, "code": code, "display": name}], "text": name}


def _blood_pressure(visit: Visit, base: Resource, chance: random.Random) -> Resource:
    """Return a blood pressure: one Observation, two components."""
    parts = []
    for code, name, low, high in _PRESSURES:
        coding = {"coding": [{"system": _LOINC, "code": code, "display": f"{name} blood pressure"}]}
        parts.append({"code": coding, "valueQuantity": _quantity(str(chance.randint(low, high)), "mm[Hg]")})
    return {**_observation(visit, base, "bp", ("85354-9", "Blood pressure panel"), _VITAL), "component": parts}


def _unusual(visit: Visit, base: Resource, chance: random.Random) -> Resource:
    """Return an Observation of one of the kinds that a parser made for plain quantities trips over."""
    negative = {"coding": [{"system": SNOMED, "code": "260385009", "display": "Negative"}]}
    not_done = {"coding": [{"system": f"{TERMINOLOGY}/data-absent-reason", "code": "not-performed"}]}
    weight = ("29463-7", "Body weight")
    on_day = visit.start.date().isoformat()
    suffix, code, category, rest = chance.choice(
        (
            ("tnt", ("6598-7", "Troponin T"), _LAB, {"valueQuantity": _quantity("0.05", "ng/mL", comparator="<")}),
            ("flu", ("80382-5", "Influenza A antigen"), _LAB, {"valueCodeableConcept": negative}),
            ("note", ("8716-3", "Vital signs note"), _VITAL, {"valueString": 'resting, "calm" - µ-meter used'}),
            ("absent", weight, _VITAL, {"dataAbsentReason": not_done}),
            ("weight", weight, _VITAL, {"effectiveDateTime": on_day, "valueQuantity": _quantity("72.50", "kg")}),
            ("hba1c", ("17856-6", "Hemoglobin A1c by HPLC"), _LAB, {"valueQuantity": _quantity("6.30", "%")}),
        )
    )
    return {**_observation(visit, base, suffix, code, category), **rest}


def _quantity(value: str, unit: str, **more: Any) -> Resource:
    return {"value": number(value), **more, "unit": unit, "system": _UCUM, "code": unit}
