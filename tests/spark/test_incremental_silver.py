"""However a drop is cut into runs, silver says the same."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.profile import Profile
from tests.spark.helpers import load, silver_content, snapshots, write_lines

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark


def _copy(source: Path, target: Path, *days: str) -> Path:
    for day in days:
        shutil.copytree(source / "fhir" / f"dt={day}", target / "fhir" / f"dt={day}")
    return target


@pytest.fixture(scope="module")
def at_once(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """Return a lakehouse with all of the sample in it, to be read only."""
    profile = Profile(str(tmp_path_factory.mktemp("at_once") / "warehouse"))
    load(profile, sample)
    return profile


def test_two_runs_give_what_one_gives(warehouse: Profile, sample: Path, tmp_path: Path, at_once: Profile) -> None:
    """Day by day, in either order, and all at once give the same silver; running again commits nothing."""
    first, second = "2026-01-15", "2026-01-16"
    load(warehouse, _copy(sample, tmp_path / "drop", second))
    load(warehouse, _copy(sample, tmp_path / "drop", first))
    assert silver_content(warehouse) == silver_content(at_once)

    before = snapshots(warehouse)
    bronze, silver = load(warehouse, tmp_path / "drop")
    assert (bronze.status, silver.status) == ("unchanged", "unchanged")
    assert snapshots(warehouse) == before


def test_an_older_version_never_wins(at_once: Profile) -> None:
    """The sample's second day repeats patient 1 in an older version; the newer one stays."""
    cities = {row["patient_id"]: row["city"] for row in read_rows(at_once, "silver_dim_patient")}
    assert cities["pat-000001"] != "Stale City"
    assert "New City" in cities.values()


def _observation(identity: str, time: str, value: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1-1"}]},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": time,
        "valueString": value,
        **more,
    }


def _versioned(version: int) -> dict[str, Any]:
    return {"meta": {"versionId": str(version), "lastUpdated": f"2026-01-{version:02d}T00:00:00Z"}}


def test_an_observation_that_moves_leaves_no_ghost(warehouse: Profile, tmp_path: Path) -> None:
    """Its old key is freed, and what had lost that key to it gets the key back."""
    drop = tmp_path / "drop"
    write_lines(
        drop / "1.ndjson",
        _observation("a", "2026-01-01T10:00:00Z", "one", **_versioned(9)),
        _observation("b", "2026-01-01T10:00:00Z", "two", **_versioned(5)),
    )
    load(warehouse, drop)
    assert [row["observation_id"] for row in read_rows(warehouse, "silver_fct_observation")] == ["a"]
    (lost,) = read_rows(warehouse, "silver_observation_collisions")
    assert (lost["observation_id"], lost["collision_reason"], lost["winner_observation_id"]) == ("b", "SAME_KEY", "a")

    write_lines(drop / "2.ndjson", _observation("a", "2026-01-02T10:00:00Z", "one", **_versioned(10)))
    load(warehouse, drop)
    held = {row["observation_id"]: row["obs_time"].day for row in read_rows(warehouse, "silver_fct_observation")}
    assert held == {"a": 2, "b": 1}
    assert read_rows(warehouse, "silver_observation_collisions") == []


def test_a_tombstone_deletes_and_a_later_version_revives(warehouse: Profile, tmp_path: Path) -> None:
    """A Bundle's DELETE takes the patient out of silver; a newer version brings it back; an older one does not."""
    drop = tmp_path / "drop"
    patient = {"resourceType": "Patient", "id": "p", "gender": "female"}
    write_lines(drop / "1.ndjson", patient | _versioned(3), {"resourceType": "Patient", "id": "q"})
    load(warehouse, drop)
    delete = {"request": {"method": "DELETE", "url": "Patient/q"}}
    write_lines(drop / "2.json", {"resourceType": "Bundle", "type": "transaction", "entry": [delete]})
    load(warehouse, drop)
    assert {row["patient_id"] for row in read_rows(warehouse, "silver_dim_patient")} == {"p"}
    write_lines(drop / "3.ndjson", {"resourceType": "Patient", "id": "q"} | _versioned(4))
    load(warehouse, drop)
    assert {row["patient_id"] for row in read_rows(warehouse, "silver_dim_patient")} == {"p", "q"}


_GONE = {"request": {"method": "DELETE", "url": "Patient/p"}}


@pytest.mark.parametrize(
    ("bundle", "lives"),
    [
        pytest.param({"entry": [_GONE]}, [False, False, True], id="says no time"),
        pytest.param({"meta": {"lastUpdated": "2026-01-01T12:00:00Z"}, "entry": [_GONE]}, [True] * 3, id="Bundle"),
        pytest.param(
            {"entry": [{**_GONE, "response": {"lastModified": "2026-01-04T12:00:00+14:00", "etag": 'W/"9"'}}]},
            [False, False, False],
            id="entry",
        ),
    ],
)
def test_a_deletion_stands_where_it_belongs(
    warehouse: Profile, tmp_path: Path, bundle: dict[str, Any], lives: list[bool]
) -> None:
    """It deletes what was there; what comes later lives if it is newer; and one run over all says the same."""
    drop = tmp_path / "drop"
    patient = {"resourceType": "Patient", "id": "p"}
    write_lines(drop / "1.ndjson", patient | _versioned(2))
    load(warehouse, drop)
    write_lines(drop / "2.json", {"resourceType": "Bundle", "type": "transaction", **bundle})
    load(warehouse, drop)
    found = [bool(read_rows(warehouse, "silver_dim_patient"))]
    for day in (2, 3):
        write_lines(drop / f"{day + 1}.ndjson", patient | _versioned(day) | {"active": True})
        load(warehouse, drop)
        found.append(bool(read_rows(warehouse, "silver_dim_patient")))
    assert found == lives
    before = silver_content(warehouse)
    load(warehouse, drop, full=True)
    assert silver_content(warehouse) == before


def test_an_overwritten_file_replaces_what_it_said(warehouse: Profile, tmp_path: Path) -> None:
    """Rows of a file's older version stay in bronze and leave silver, unless the newer version says them too."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", *({"resourceType": "Patient", "id": name} for name in "pq"))
    load(warehouse, drop)
    write_lines(drop / "1.ndjson", {"resourceType": "Patient", "id": "q", "gender": "male"})
    load(warehouse, drop)
    assert len(read_rows(warehouse, "bronze_fhir_patient")) == 3
    (kept,) = read_rows(warehouse, "silver_dim_patient")
    assert (kept["patient_id"], kept["gender"]) == ("q", "male")


def test_two_hospitals_do_not_collide(warehouse: Profile, tmp_path: Path) -> None:
    """The same id from two source systems is two patients."""
    for name in ("north", "south"):
        write_lines(
            tmp_path / f"drop/fhir/source={name}/dt=2026-01-01/p.ndjson", {"resourceType": "Patient", "id": "p"}
        )
    load(warehouse, tmp_path / "drop")
    held = {(row["source_system"], row["patient_id"]) for row in read_rows(warehouse, "silver_dim_patient")}
    assert held == {("north", "p"), ("south", "p")}


def _random_records(rng: random.Random) -> list[dict[str, Any]]:
    """Return versions of a few patients and observations that share keys; each carries a time of its own."""
    records: list[dict[str, Any]] = []
    for number in range(40):
        stamp = {"lastUpdated": f"2026-01-{1 + number // 24:02d}T{number % 24:02d}:00:00Z"}
        version = {"versionId": str(number)} if rng.random() < 0.5 else {}
        if rng.random() < 0.3:
            gender = rng.choice(["male", "female"])
            records.append({"resourceType": "Patient", "id": f"p{rng.randrange(3)}", "gender": gender})
        else:
            time = rng.choice(["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z", "2026"])
            status = rng.choice(["final", "final", "entered-in-error"])
            code = {"coding": [{"system": "http://loinc.org", "code": rng.choice(["1-1", "2-2"])}]}
            parts = {"component": [{"code": {"text": "part"}, "valueInteger": number}]} if rng.random() < 0.3 else {}
            patient = {"subject": {"reference": f"Patient/p{rng.randrange(4)}"}, "status": status, "code": code}
            records.append(_observation(f"o{rng.randrange(8)}", time, str(number), **patient, **parts))
        records[-1]["meta"] = stamp | version
    return records


@pytest.mark.thorough
def test_no_order_repetition_or_split_matters(warehouse: Profile, tmp_path: Path) -> None:
    """Records that carry a time give one silver, however they are shuffled, repeated and split into runs."""
    rng = random.Random(20261124)  # noqa: S311 - made-up records
    records = _random_records(rng)
    write_lines(tmp_path / "at_once" / "1.ndjson", *records)
    at_once = Profile(str(tmp_path / "one"))
    load(at_once, tmp_path / "at_once")
    dealt = [*records, *rng.choices(records, k=10)]
    rng.shuffle(dealt)
    for number in range(3):
        write_lines(tmp_path / "dealt" / f"{rng.random()}.ndjson", *dealt[number::3])
        load(warehouse, tmp_path / "dealt")
    assert silver_content(warehouse) == silver_content(at_once)
    assert read_rows(warehouse, "silver_observation_collisions")
