"""The second day: new, changed, repeated and stale rows, and the pair that shares a grain key."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.unit.cli.sample.conftest import FIRST, SECOND, resource_or_none

if TYPE_CHECKING:
    from tests.unit.cli.sample.conftest import Drop


def _order(resource: dict[str, Any]) -> tuple[str, int]:
    return resource["meta"]["lastUpdated"], int(resource["meta"]["versionId"])


def test_new_patients_and_encounters(drop: Drop) -> None:
    """Some patients come on the second day only, each with an encounter; known patients have new encounters too."""
    before, after = drop.by_id("Patient", FIRST), drop.by_id("Patient", SECOND)
    newcomers = after.keys() - before.keys()
    assert newcomers == {f"pat-{number:06d}" for number in (6, 16, 26, 36, 46)}
    visited = {one["subject"]["reference"].removeprefix("Patient/") for one in drop.by_id("Encounter", SECOND).values()}
    assert newcomers <= visited
    assert visited & before.keys()
    earlier = {one["subject"]["reference"] for one in drop.by_id("Encounter", FIRST).values()}
    assert not earlier & {f"Patient/{one}" for one in newcomers}


def test_changed_patients(drop: Drop) -> None:
    """A changed patient has another address, a later time and a higher version, which as text would be lower."""
    before, after = drop.by_id("Patient", FIRST), drop.by_id("Patient", SECOND)
    changed = [one for one in after if one in before and after[one]["address"][0]["city"] == "New City"]
    assert changed
    for one in changed:
        assert _order(after[one]) > _order(before[one])
        assert after[one]["meta"]["versionId"] < before[one]["meta"]["versionId"]


def test_amended_observations(drop: Drop) -> None:
    """Same id, patient, time and code; status final to amended, another value, a higher version, the same digits."""
    before, after = drop.by_id("Observation", FIRST), drop.by_id("Observation", SECOND)
    amended = [one for one in after.values() if one["status"] == "amended"]
    assert amended
    for one in amended:
        old = before[one["id"]]
        assert old["status"] == "final"
        assert _order(one) > _order(old)
        assert Decimal(one["valueQuantity"]["value"]) == Decimal(old["valueQuantity"]["value"]) + 1
        assert (one["effectiveDateTime"], one["code"]) == (old["effectiveDateTime"], old["code"])


def test_encounters_that_ended_since(written: Any) -> None:
    """One that was open is sent again with its end; nothing ends before it starts."""
    large = written(patients=150, documents=0)
    before, after = large.by_id("Encounter", FIRST), large.by_id("Encounter", SECOND)
    closed = [one for one in before.keys() & after.keys() if "end" not in before[one]["period"]]
    assert closed
    for one in closed:
        assert after[one]["status"] == "finished"
        assert _order(after[one]) > _order(before[one])
        assert after[one]["period"]["end"] > after[one]["period"]["start"]


def test_exact_repeats(drop: Drop) -> None:
    """Patients and observations are sent again byte for byte."""
    lines = {day: set(drop.lines(day)) for day in (FIRST, SECOND)}
    again = filter(None, map(resource_or_none, lines[FIRST] & lines[SECOND]))
    repeated = {one["resourceType"] for one in again if "id" in one and not one["id"].startswith("broken-")}
    assert {"Patient", "Observation"} <= repeated


def test_the_stale_patient(drop: Drop) -> None:
    """One patient comes again in a version older than the first day's, by number and by time."""
    before, after = drop.by_id("Patient", FIRST), drop.by_id("Patient", SECOND)
    stale = [one for one in before.keys() & after.keys() if "meta" in one or "meta" in after[one]]
    older = [one for one in stale if _order(after[one]) < _order(before[one])]
    assert older == ["pat-000001"]
    assert after["pat-000001"]["address"][0]["city"] == "Stale City" != before["pat-000001"]["address"][0]["city"]
    assert after["pat-000001"]["meta"]["versionId"] < before["pat-000001"]["meta"]["versionId"]


def test_changed_rows_can_always_be_ordered(drop: Drop) -> None:
    """Versions that differ differ in time or number too; else the order of arrival would decide which wins."""
    versions: dict[tuple[str, str], dict[str, set[tuple[str, int]]]] = defaultdict(lambda: defaultdict(set))
    for one in drop.resources():
        if "id" in one and "meta" in one:
            versions[one["resourceType"], one["id"]][json.dumps(one, sort_keys=True)].add(_order(one))
    for contents in versions.values():
        orders = [next(iter(found)) for found in contents.values()]
        assert len(set(orders)) == len(orders)


def test_one_pair_collides(drop: Drop) -> None:
    """Exactly one pair of first-day observations shares patient, time and code, with two ids and two values."""
    keys = defaultdict(list)
    for one in drop.by_id("Observation", FIRST).values():
        code = one["code"]["coding"][0]["code"]
        keys[one["subject"]["reference"], one["effectiveDateTime"], code].append(one)
    (pair,) = [found for found in keys.values() if len(found) > 1]
    assert len({one["id"] for one in pair}) == len({one["valueQuantity"]["value"] for one in pair}) == 2
