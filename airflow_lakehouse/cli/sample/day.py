"""One day's FHIR: who is sent in which file, what has changed, and what is sent again as it was."""

from __future__ import annotations

import enum
import random
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.cli.sample import observations, resources
from airflow_lakehouse.cli.sample.broken import CUT_OFF, defects
from airflow_lakehouse.cli.sample.shapes import LineWriter, lines, searchset, transaction, write_array, write_document
from airflow_lakehouse.cli.sample.world import is_newcomer, people, recorded_at, visits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_lakehouse.cli.sample.report import Tally
    from airflow_lakehouse.cli.sample.resources import Resource
    from airflow_lakehouse.cli.sample.world import Person, Visit

# Of every 25 patients three come in files of their own; beyond 200 none, or a large drop were thousands of files.
_OWN_FILES_EVERY: Final = 25
_OWN_FILES_UP_TO: Final = 200
_CHANGED_EVERY: Final = 5
_REPEATED_EVERY: Final = 7
_STALE: Final = 1
_STALE_VERSION, _CURRENT_VERSION = 2, 3
# The changed ones go from 9 to 10: compared as text, the older version would win.
_BEFORE_CHANGE: Final = 9
_ELSEWHERE: Final = "https://documents.example.org/outside-the-drop.pdf"


class Shape(enum.Enum):
    """How a patient's records are sent."""

    LINES = enum.auto()
    TRANSACTION = enum.auto()
    SEARCHSET = enum.auto()
    SINGLE = enum.auto()


_OWN: Final = {3: Shape.TRANSACTION, 4: Shape.SEARCHSET, 5: Shape.SINGLE}


def shape_of(number: int) -> Shape:
    """Return how a patient's records are sent.

    :param number: of the patient.
    """
    return _OWN.get(number % _OWN_FILES_EVERY, Shape.LINES) if number <= _OWN_FILES_UP_TO else Shape.LINES


@dataclass(frozen=True, slots=True)
class Plan:
    """What a day has to know of the drop.

    :param seed: of the world.
    :param patients: how many there are.
    :param start: first day of the drop.
    :param today: the day that is written.
    :param days: how many there are.
    """

    seed: int
    patients: int
    start: date
    today: date
    days: int


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of one record a line, open all day."""

    patients: LineWriter
    encounters: LineWriter
    observations: LineWriter
    mixed: LineWriter

    def add(self, resource: Resource) -> None:
        """Write a resource into the file of its type."""
        own = {"Patient": self.patients, "Encounter": self.encounters, "Observation": self.observations}
        own.get(resource["resourceType"], self.mixed).add(resource)


class Day:
    """Writes one day of the drop.

    :param folder: of the day.
    :param plan: what the day has to know.
    :param tally: counts what is written.
    """

    def __init__(self, folder: Path, plan: Plan, tally: Tally) -> None:
        self._folder, self._plan, self._tally = folder, plan, tally
        self._is_first = plan.today == plan.start
        self._number = (plan.today - plan.start).days
        self._defects = defects()
        self._broken = 0
        self._before = tally.records.total()

    def write(self, broken_ratio: float, documents: list[tuple[str, Person]], step: Callable[[], None]) -> None:
        """Write the day's FHIR files.

        :param broken_ratio: broken records to a well-formed one.
        :param documents: name of each of the day's PDFs and whom it is about.
        :param step: called after each patient.
        """
        with ExitStack() as opened:

            def file(name: str, *, crlf: bool = False, bom: bool = False) -> LineWriter:
                return opened.enter_context(lines(self._folder / name, self._tally, crlf=crlf, bom=bom))

            files = _Files(
                patients=file("Patient.ndjson", bom=True),
                encounters=file("Encounter.ndjson.gz"),
                observations=file("Observation.0001.ndjson.gz"),
                mixed=file("mixed.jsonl", crlf=True),
            )
            for person in people(self._plan.seed, self._plan.patients):
                if not (self._is_first and self._plan.days > 1 and is_newcomer(person.number)):
                    self._person(files, person)
                    self._damage(files, broken_ratio)
                step()
            if broken_ratio:
                files.mixed.add_broken(CUT_OFF, CUT_OFF.line(self._number), cut_off=True)
        write_array(self._folder / "DocumentReference.json", self._references(documents), self._tally)

    def _person(self, files: _Files, person: Person) -> None:
        shape = shape_of(person.number)
        if shape is Shape.LINES:
            for resource in [*self._patient(person), *self._new(person), *self._again(person)]:
                files.add(resource)
            return
        # Sent whole again each day: a transaction's references to a patient who is not in it resolve to nothing.
        held = [resources.patient(person, self._plan.start), *self._new(person)]
        if shape is Shape.TRANSACTION:
            write_document(self._folder / f"transaction-{person.number}.json", transaction(held), self._tally)
        elif shape is Shape.SEARCHSET:
            write_document(self._folder / f"searchset-{person.number}.json", searchset(held), self._tally)
        else:
            for resource in held:
                if resource["resourceType"] in {"Patient", "Encounter"}:
                    write_document(self._folder / f"single-{resource['id']}.json", resource, self._tally)
                else:
                    files.add(resource)

    def _patient(self, person: Person) -> list[Resource]:
        """Return what is sent of the patient: new, changed, as before, stale, or nothing."""
        start, today = self._plan.start, self._plan.today
        is_changed = person.number % _CHANGED_EVERY == 0
        if is_newcomer(person.number) and self._plan.days > 1:
            return [resources.patient(person, today)] if self._number == 1 else []
        if person.number == _STALE:
            if self._is_first:
                return [resources.patient(person, today, _CURRENT_VERSION)]
            # Older than what the first day sent: it must not win, though it arrives later.
            stale = replace(person, city="Stale City")
            return [resources.patient(stale, start - timedelta(days=30), _STALE_VERSION)]
        if self._is_first:
            return [resources.patient(person, today, _BEFORE_CHANGE if is_changed else 1)]
        if is_changed:
            moved = replace(person, line=f"{person.number} Removal Road", city="New City")
            return [resources.patient(moved, today, _BEFORE_CHANGE + self._number)]
        return [resources.patient(person, start)] if person.number % _REPEATED_EVERY == 0 else []

    def _new(self, person: Person) -> list[Resource]:
        """Return the encounters that are new today, with what was measured and found in them."""
        found = []
        for visit in visits(self._plan.seed, person, self._plan.today):
            found += [resources.encounter(visit, self._plan.today), *self._of_visit(visit, self._plan.today)]
        return found

    def _of_visit(self, visit: Visit, day: date) -> list[Resource]:
        chance = random.Random(f"{self._plan.seed}/of_visit/{visit.id}")  # noqa: S311 - must be repeatable
        return [*observations.of_visit(visit, day, chance), *resources.aftermath(visit, day, chance)]

    def _again(self, person: Person) -> list[Resource]:
        """Return rows of the first day sent again: changed or as they were; and, once, two that share a grain key."""
        start, today = self._plan.start, self._plan.today
        if self._is_first and person.number != _STALE:
            return []
        if not self._is_first and person.number % _CHANGED_EVERY:
            return []
        visit = visits(self._plan.seed, person, start)[0]
        first, second, *_ = self._of_visit(visit, start)
        if self._is_first:
            # The collision: same patient, time and code, another value, an id of its own.
            return [{**observations.with_other_value(first), "id": f"{first['id']}-again"}]
        ended = (recorded_at(start + timedelta(days=1), 0) - timedelta(hours=1)).astimezone(visit.start.tzinfo)
        closed = [resources.encounter(replace(visit, end=ended), today, 1 + self._number)] if visit.end is None else []
        return [*closed, observations.amended(first, today, 1 + self._number), second]

    def _damage(self, files: _Files, broken_ratio: float) -> None:
        """Keep the share of broken records while the files grow."""
        due = int((self._tally.records.total() - self._before) * broken_ratio)
        places = (files.observations, files.mixed, files.encounters)
        while self._broken < due:
            defect, line = next(self._defects)
            places[self._broken % len(places)].add_broken(defect, line)
            self._broken += 1

    def _references(self, documents: list[tuple[str, Person]]) -> list[Resource]:
        today, seed = self._plan.today, self._plan.seed
        found = [
            resources.document_reference(
                visits(seed, person, today)[0], today, name.removesuffix(".pdf"), f"docs/dt={today}/{name}"
            )
            for name, person in documents
        ]
        first = next(people(seed, self._plan.patients))
        # Not every reference leads to a document that is there.
        outside = resources.document_reference(
            visits(seed, first, today)[0], today, f"outside-{today:%m%d}", _ELSEWHERE
        )
        return [*found, outside]
