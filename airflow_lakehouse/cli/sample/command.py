"""``lakehouse sample``: writing a drop, day by day."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from airflow_lakehouse.cli.sample import resources
from airflow_lakehouse.cli.sample.broken import broken_lines
from airflow_lakehouse.cli.sample.documents import KINDS, write_documents
from airflow_lakehouse.cli.sample.report import SampleReport
from airflow_lakehouse.cli.sample.shapes import LineWriter, lines, searchset, transaction, write_array, write_document
from airflow_lakehouse.cli.sample.world import Person, people, visits
from airflow_lakehouse.exceptions import InputError

FIRST_DAY: Final = date(2026, 1, 15)
_BUNDLED, _SEARCHED, _SINGLE = 3, 4, 5
_OWN_FILES: Final = 25
_CHANGED: Final = 5
_REPEATED: Final = 7
_OWN_FILES_UP_TO: Final = 200
_RECORDS_A_PATIENT: Final = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    parser.add_argument("target", type=Path, metavar="DIR", help="new or empty folder for the drop")
    parser.add_argument("--patients", type=int, default=50, metavar="N", help="how many patients (default 50)")
    parser.add_argument("--documents", type=int, default=6, metavar="N", help="how many PDFs (default 6)")
    parser.add_argument("--days", type=int, default=2, metavar="N", help="how many days (default 2)")
    parser.add_argument("--seed", type=int, default=7, help="another seed, another drop (default 7)")
    parser.add_argument("--broken-ratio", type=float, default=0.02, metavar="R", help="share of broken records (default 0.02)")


def run(options: argparse.Namespace) -> int:
    """Write a sample and print what it holds as JSON.

    :param options: the parsed options.
    """
    report = write_sample(
        options.target,
        patients=options.patients,
        documents=options.documents,
        days=options.days,
        seed=options.seed,
        broken_ratio=options.broken_ratio,
    )
    sys.stdout.write(json.dumps(report.as_dict()) + "\n")
    return 0


def write_sample(  # noqa: PLR0913 - each is a choice of the caller, by name, with a default
    target: Path,
    *,
    patients: int = 50,
    documents: int = 6,
    days: int = 2,
    seed: int = 7,
    broken_ratio: float = 0.02,
    start: date = FIRST_DAY,
) -> SampleReport:
    """Write a drop: ``fhir/dt=.../`` and ``docs/dt=.../``. The same arguments write the same bytes.

    The first day has every patient. Each later day has new encounters, changed rows, rows repeated as they were, and
    one version of patient 1 that is older than what the first day sent.

    :param target: new or empty folder.
    :param patients: how many.
    :param documents: PDFs over all days; the last of every six is broken.
    :param days: how many.
    :param seed: another seed, another drop.
    :param broken_ratio: share of records that are broken.
    :param start: first day.
    :raises InputError: when a number makes no sense or the folder is not empty.
    """
    if min(patients, days) < 1 or documents < 0 or not 0 <= broken_ratio < 1:
        raise InputError(
            f"{patients} patients, {days} days, {documents} documents and broken ratio {broken_ratio} make no sample",
            legal="at least one patient and one day, a ratio from 0 to below 1",
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is not an empty folder", remedy="name a new one")
    report = SampleReport()
    for number in range(days):
        day = start + timedelta(days=number)
        share = [place for place in range(documents) if place % days == number]
        plan = _plan(seed, patients, share, day)
        write_documents(target / "docs" / f"dt={day}", plan, seed, report)
        _Day(target / "fhir" / f"dt={day}", seed, day, start, report).write(patients, broken_ratio, plan)
    return report


def _plan(seed: int, patients: int, share: list[int], day: date) -> list[tuple[str, str, Person]]:
    held = list(islice(people(seed, patients), max(share, default=0) + 2))
    kinds = list(KINDS)
    return [
        (f"{kinds[place % len(kinds)]}-{day:%m%d}-{place:03d}.pdf", kinds[place % len(kinds)], held[place % len(held)])
        for place in share
    ]


class _Day:
    """One day of the drop."""

    def __init__(self, folder: Path, seed: int, day: date, start: date, report: SampleReport) -> None:  # noqa: PLR0913
        self.folder, self.seed, self.day, self.start, self.report = folder, seed, day, start, report

    def write(self, patients: int, broken_ratio: float, plan: list[tuple[str, str, Person]]) -> None:
        broken = broken_lines(round(patients * _RECORDS_A_PATIENT * broken_ratio))
        with ExitStack() as opened:

            def file(name: str, **how: bool) -> LineWriter:
                return opened.enter_context(lines(self.folder / name, self.report, **how))

            persons = file("Patient.ndjson", bom=True)
            encounters = file("Encounter.ndjson.gz")
            observations = file("Observation.0001.ndjson.gz")
            mixed = file("mixed.jsonl", crlf=True)
            for person in people(self.seed, patients):
                if person.number <= _OWN_FILES_UP_TO and person.number % _OWN_FILES in (_BUNDLED, _SEARCHED, _SINGLE):
                    self._own_file(person)
                    continue
                self._person(persons, person)
                for visit in visits(self.seed, person, self.day):
                    encounters.add(resources.encounter(visit, self.day))
                    for resource in resources.of_visit(self.seed, visit, self.day):
                        (observations if resource["resourceType"] == "Observation" else mixed).add(resource)
                self._again(observations, person)
                if broken and person.number % 3 == 0:
                    mixed.add_broken(*broken.pop())
            self._collision(observations, patients)
            for reason, line in broken:
                mixed.add_broken(reason, line)
            if broken_ratio:
                mixed.add_broken("TRUNCATED_JSON", b'{"resourceType":"Condition","id":"cut-off","code":{"te', cut_off=True)
        if plan:
            write_array(self.folder / "documents.json", self._references(plan), self.report)

    def _person(self, file: LineWriter, person: Person) -> None:
        if self.day == self.start:
            file.add(resources.patient(person, self.day, 3 if person.number == 1 else 1))
        elif person.number == 1:
            # Older than what the first day sent: it must not win, though it arrives later.
            stale = replace(person, city="Stale City")
            file.add(resources.patient(stale, self.start - timedelta(days=30), 2))
        elif person.number % _CHANGED == 0:
            file.add(resources.patient(replace(person, city="New City"), self.day, 10))
        elif person.number % _REPEATED == 0:
            file.add(resources.patient(person, self.start))

    def _again(self, file: LineWriter, person: Person) -> None:
        """Send some of the first day's observations again, changed or as they were."""
        if self.day == self.start or person.number % _CHANGED:
            return
        visit = visits(self.seed, person, self.start)[0]
        first, second, *_ = resources.of_visit(self.seed, visit, self.start)
        file.add({**first, "meta": resources.meta(self.day, 2), "status": "amended"})
        file.add(second)

    def _collision(self, file: LineWriter, patients: int) -> None:
        """Send a second observation of the same patient, time and code, with another value."""
        person = next(people(self.seed, patients))
        visit = visits(self.seed, person, self.day)[0]
        first = next(resources.of_visit(self.seed, visit, self.day))
        file.add({**first, "id": f"{first['id']}-again", "valueQuantity": {**first["valueQuantity"], "value": "@999@"}})

    def _own_file(self, person: Person) -> None:
        held = [resources.patient(person, self.day)] if self.day == self.start else []
        for visit in visits(self.seed, person, self.day):
            held += [resources.encounter(visit, self.day), *resources.of_visit(self.seed, visit, self.day)]
        place = person.number % _OWN_FILES
        if place == _BUNDLED:
            # Without the patient, a Bundle's references to it would be urns that nothing resolves.
            whole = [resources.patient(person, self.day), *held] if self.day != self.start else held
            write_document(self.folder / f"transaction-{person.number}.json", transaction(whole), self.report)
        elif place == _SEARCHED:
            write_document(self.folder / f"searchset-{person.number}.json", searchset(held), self.report)
        else:
            for number, resource in enumerate(held):
                write_document(self.folder / f"single-{person.number}-{number}.json", resource, self.report)

    def _references(self, plan: list[tuple[str, str, Person]]) -> list[resources.Resource]:
        return [
            resources.document_reference(
                person,
                visits(self.seed, person, self.day)[0].id,
                self.day,
                f"docs/dt={self.day}/{name}",
            )
            for name, _, person in plan
        ]
