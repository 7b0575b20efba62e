"""The drop as a whole: which day holds what."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.cli.sample.day import Day, Plan, Shape, shape_of
from airflow_lakehouse.cli.sample.documents import KINDS, require_libraries, write_documents
from airflow_lakehouse.cli.sample.report import SampleReport, Tally
from airflow_lakehouse.cli.sample.world import Person, is_newcomer, people
from airflow_lakehouse.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIRST_DAY: Final = date(2026, 1, 15)
"""First day of a sample unless the caller says otherwise; fixed, so that the bytes are."""
_PORTRAYED: Final = 40


def write_sample(  # noqa: PLR0913 - each is a choice of the caller, by name, with a default
    target: Path,
    *,
    patients: int = 50,
    documents: int = 6,
    days: int = 2,
    seed: int = 7,
    broken_ratio: float = 0.02,
    start: date = FIRST_DAY,
    step: Callable[[], None] | None = None,
) -> SampleReport:
    """Write a drop: ``fhir/dt=.../`` and ``docs/dt=.../``. The same arguments write the same bytes.

    The first day has the patients; each later day has new encounters, changed rows, rows repeated as they were, one
    version of patient 1 that is older than what the first day sent, and the second day a few patients more. Patients
    are written one by one, so memory does not grow with their number.

    :param target: new or empty folder.
    :param patients: how many, at least 1.
    :param documents: PDFs over all days; the last of every six is broken.
    :param days: how many, at least 1.
    :param seed: another seed, another drop.
    :param broken_ratio: broken records to a well-formed one, from 0 to below 1. Not 0, every day also has one file
        that breaks off in its last line.
    :param start: first day.
    :param step: called after each patient of each day, for a progress bar.
    :return: counts of what was written.
    :raises InputError: when a number makes no sense, or the folder is not empty or cannot be written.
    :raises SetupError: when documents are asked for and what draws them is not installed.
    """
    _check(patients, documents, days, broken_ratio)
    if documents:
        require_libraries()
    tally = Tally()
    try:
        _claim(target)
        plan = _plan(seed, patients, documents, days)
        for number in range(days):
            today = start + timedelta(days=number)
            entries = [
                (f"{kind}-{today:%m%d}-{place:03d}.pdf", kind, person)
                for place, (kind, person) in enumerate(plan)
                if place % days == number
            ]
            write_documents(target / "docs" / f"dt={today}", entries, seed, today, tally)
            day = Day(target / "fhir" / f"dt={today}", Plan(seed, patients, start, today, days), tally)
            day.write(broken_ratio, [(name, person) for name, _, person in entries], step or (lambda: None))
    except OSError as error:
        raise InputError(
            f"{target} cannot be written: {error.strerror or type(error).__name__}",
            remedy="free space or name another folder, and delete what is there of this one",
        ) from error
    return tally.report()


def _check(patients: int, documents: int, days: int, broken_ratio: float) -> None:
    if min(patients, days) < 1 or documents < 0 or not 0 <= broken_ratio < 1:
        raise InputError(
            f"{patients} patients, {days} days, {documents} documents and broken ratio {broken_ratio} make no sample",
            legal="at least one patient and one day, no fewer than 0 documents, a ratio from 0 to below 1",
        )


def _claim(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is not an empty folder", remedy="name a new one")
    target.mkdir(parents=True, exist_ok=True)


def _plan(seed: int, patients: int, documents: int, days: int) -> list[tuple[str, Person]]:
    """Return the kind of each document and whom it is about."""
    # Not those in transaction Bundles: their ids become uuids there, and a reference to pat-000003 would dangle.
    # Nor those who come later: a first-day document would be about nobody.
    known = (
        person
        for person in people(seed, patients)
        if shape_of(person.number) is Shape.LINES and not (days > 1 and is_newcomer(person.number))
    )
    persons = list(islice(known, min(documents, _PORTRAYED)))
    kinds = list(KINDS)
    return [(kinds[place % len(kinds)], persons[place % len(persons)]) for place in range(documents)]
