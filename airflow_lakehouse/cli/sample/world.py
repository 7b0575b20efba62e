"""People, and what happens to them. The same seed gives the same people, whatever Python hashes to."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FAMILIES: Final = (
    *("Abara", "Bergström", "Castillo", "Dubois", "Eze", "Fischer", "García", "Haddad", "Ito", "Jansen", "Kowalski"),
    *("Lindqvist", "Müller", "Nguyen", "O'Brien", "Petrov", "Quintero", "Rossi", "Smith-Jones", "Tanaka", "van Dijk"),
)
_GIVEN: Final = (
    *("Amina", "Björn", "Carla", "Daniel", "Elif", "Farid", "Grace", "Hana", "Ivan", "José", "Kofi", "Lena", "Mateo"),
    *("Noor", "Oskar", "Priya", "Quinn", "Rosa", "Sami", "Thandi", "Ulla", "Viktor", "Wanda", "Xin", "Yara", "Zoë"),
)
_STREETS: Final = ("Main Street", "Mill Road", "Oak Avenue", "Station Lane", "Harbour Way")
_CITIES: Final = (
    ("Boston", "MA", "02118"),
    ("Denver", "CO", "80204"),
    ("Austin", "TX", "78701"),
    ("Fargo", "ND", "58102"),
)
_ZONES: Final = tuple(timezone(timedelta(minutes=minutes)) for minutes in (-300, 0, 60, 330))
_YEAR_LENGTH, _MONTH_LENGTH, _DATE_LENGTH = 4, 7, 10
_HOURS: Final = {"AMB": 1, "EMER": 6, "IMP": 96}
# From when to when of a stay somebody is transferred; the shortest stay takes half of its class's hours, 48.
_TRANSFER: Final = (timedelta(hours=24), timedelta(hours=40))
_RECORDED: Final = time(6, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Person:
    """One patient.

    :param number: 1-based, unique in the world.
    :param birth_text: the birth date as far as the source knows it: a year, a month or a day.
    """

    number: int
    id: str
    family: str
    given: tuple[str, ...]
    gender: str
    birth: date
    birth_text: str
    line: str
    city: str
    state: str
    postal_code: str
    race: str
    ethnicity: str
    mrn: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One encounter of a patient.

    :param end: None while it is open.
    :param kind: class of the encounter, as HL7's ActCode spells it.
    :param part_of: id of the encounter this one is a part of, as a night in intensive care is of a stay.
    """

    id: str
    person: Person
    start: datetime
    end: datetime | None
    kind: str
    part_of: str | None = None


def recorded_at(day: date, version: int) -> datetime:
    """Return when a version of a resource was last updated.

    :param day: of the drop that sends it.
    :param version: which version it is.
    """
    return datetime.combine(day, _RECORDED) + timedelta(minutes=version)


def is_newcomer(number: int) -> bool:
    """Tell whether a patient is first seen on the second day.

    :param number: of the patient.
    """
    return number % 10 == 6  # noqa: PLR2004 - a tenth, and never one whose file or change is of a special kind


def people(seed: int, count: int) -> Iterator[Person]:
    """Yield patients one by one; ten thousand take no more memory than one.

    :param seed: of the world.
    :param count: how many.
    """
    for number in range(1, count + 1):
        yield _person(seed, number)


def _person(seed: int, number: int) -> Person:
    chance = random.Random(f"{seed}/person/{number}")  # noqa: S311 - sample data, and it must be repeatable
    birth = date(1930, 1, 1) + timedelta(days=chance.randrange(90 * 365))
    city, state, postal_code = chance.choice(_CITIES)
    # Some registries know a year, or a year and a month.
    cut = _YEAR_LENGTH if number % 17 == 0 else _MONTH_LENGTH if number % 23 == 0 else _DATE_LENGTH
    return Person(
        number=number,
        id=f"pat-{number:06d}",
        family=chance.choice(_FAMILIES),
        given=tuple(chance.sample(_GIVEN, chance.choice((1, 1, 2)))),
        gender=chance.choice(("female", "female", "male", "male", "other")),
        birth=birth,
        birth_text=birth.isoformat()[:cut],
        line=f"{chance.randrange(1, 400)} {chance.choice(_STREETS)}",
        city=city,
        state=state,
        postal_code=postal_code,
        race=chance.choice(("2106-3", "2054-5", "2028-9")),
        ethnicity=chance.choice(("2135-2", "2186-5")),
        # The number is in it: drawn alone, ten thousand patients would share some.
        mrn=f"MRN{number:06d}{chance.randrange(100):02d}",
    )


def visits(seed: int, person: Person, day: date) -> list[Visit]:
    """Return a patient's encounters that are new on one day of the drop: one or two, from the month before.

    :param seed: of the world.
    :param person: whose.
    :param day: of the drop.
    """
    chance = random.Random(f"{seed}/visits/{person.number}/{day}")  # noqa: S311
    found = []
    for place in range(1, chance.choice((1, 1, 2)) + 1):
        zone = chance.choice(_ZONES)
        start = datetime(day.year, day.month, day.day, chance.randrange(24), chance.randrange(60), tzinfo=zone)
        start -= timedelta(days=chance.randrange(1, 30))
        kind = chance.choice(("AMB", "AMB", "EMER", "IMP"))
        end = start + timedelta(minutes=int(_HOURS[kind] * (0.5 + chance.random()) * 60))
        # Nobody knows yet when those will end who are still in when the drop is made.
        is_open = end >= recorded_at(day, 0) or chance.random() < 0.04  # noqa: PLR2004
        visit_id = f"enc-{person.number:06d}-{day:%Y%m%d}-{place}"
        found.append(Visit(visit_id, person, start, None if is_open else end, kind))
    if len(found) > 1 and found[0].kind == "IMP" and found[0].start + _TRANSFER[1] < recorded_at(day, 0):
        found[1] = _within(found[0], found[1].id)
    return found


def _within(stay: Visit, visit_id: str) -> Visit:
    """Return an encounter that begins and ends within an inpatient stay."""
    # A day after the stay began: on the same day, values dated to the day alone would share a grain key by chance.
    begin, end = (stay.start + after for after in _TRANSFER)
    return Visit(visit_id, stay.person, begin, end, stay.kind, stay.id)
