"""People, and what happens to them. The same seed gives the same people, whatever Python hashes to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Final

_FAMILIES: Final = ("Abara", "Bergström", "Castillo", "Dubois", "Eze", "Fischer", "García", "Haddad", "Ito", "Jansen")
_GIVEN: Final = ("Amina", "Björn", "Carla", "Daniel", "Elif", "Farid", "Grace", "Hana", "Ivan", "José", "Kofi", "Lena")
_CITIES: Final = (("Boston", "MA", "02118"), ("Denver", "CO", "80204"), ("Austin", "TX", "78701"), ("Fargo", "ND", "58102"))
_ZONES: Final = tuple(timezone(timedelta(hours=hours)) for hours in (-5, 0, 1, 5.5))


@dataclass(frozen=True, slots=True)
class Person:
    """One patient.

    :param number: 1-based, unique in the world.
    """

    number: int
    id: str
    family: str
    given: str
    gender: str
    birth: date
    birth_text: str
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
    """

    id: str
    person: Person
    start: datetime
    end: datetime | None
    kind: str


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
    cut = 4 if number % 17 == 0 else 7 if number % 23 == 0 else 10
    return Person(
        number=number,
        id=f"pat-{number:06d}",
        family=chance.choice(_FAMILIES),
        given=chance.choice(_GIVEN),
        gender=chance.choice(("female", "male", "other")),
        birth=birth,
        birth_text=birth.isoformat()[:cut],
        city=city,
        state=state,
        postal_code=postal_code,
        race=chance.choice(("2106-3", "2054-5", "2028-9")),
        ethnicity=chance.choice(("2135-2", "2186-5")),
        mrn=f"MRN{chance.randrange(10**8):08d}",
    )


def visits(seed: int, person: Person, day: date) -> list[Visit]:
    """Return a patient's encounters of one day of the drop.

    :param seed: of the world.
    :param person: whose.
    :param day: of the drop.
    """
    chance = random.Random(f"{seed}/visits/{person.number}/{day}")  # noqa: S311
    found = []
    for place in range(1, chance.choice((1, 1, 2)) + 1):
        zone = chance.choice(_ZONES)
        start = datetime(day.year, day.month, day.day, chance.randrange(24), chance.randrange(60), 0, tzinfo=zone)
        start -= timedelta(days=chance.randrange(1, 30))
        kind = chance.choice(("AMB", "AMB", "EMER", "IMP"))
        hours = {"AMB": 1, "EMER": 6, "IMP": 96}[kind] * (0.5 + chance.random())
        is_open = chance.random() < 0.08  # noqa: PLR2004 - a twelfth of the patients is still in
        end = None if is_open else start + timedelta(minutes=int(hours * 60))
        found.append(Visit(f"enc-{person.number:06d}-{day:%m%d}-{place}", person, start, end, kind))
    return found
