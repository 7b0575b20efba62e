"""Silver without persons: nothing that names one is left, and everything that belongs together still does."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.profile import KEY_VARIABLE, SHIFT, YEAR, Profile
from airflow_lakehouse.tables import silver
from airflow_lakehouse.tables.privacy import SMALL_ZIPS, rule
from tests.spark.helpers import load, silver_content, write_lines

KEY = "a-key-under-which-no-made-up-date-happens-to-be-one-of-the-true-ones"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a key where a job finds it."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """Return a lakehouse over the records, as they are."""
    root = tmp_path_factory.mktemp("plain")
    write_lines(root / "raw" / "dt=2026-01-15" / "secret_file.ndjson", *records())
    profile = Profile(str(root / "warehouse"), raw=str(root / "raw"))
    load(profile, root / "raw")
    return profile


@pytest.fixture(scope="module", params=[SHIFT, YEAR])
def without_persons(request: pytest.FixtureRequest, plain: Profile) -> Profile:
    """Return the same lakehouse, de-identified; both are only read."""
    made = replace(plain, warehouse=f"{plain.warehouse}-{request.param}", deidentify=request.param)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(KEY_VARIABLE, KEY)
        load(made, Path(plain.raw or ""))
    return made


def hidden(profile: Profile, mode: str) -> Profile:
    """Return the same lakehouse, de-identified."""
    return replace(profile, deidentify=mode)


def patient(id_: str, **more: Any) -> dict[str, Any]:
    """Return a patient with everything that names one."""
    return {
        "resourceType": "Patient",
        "id": id_,
        "meta": {"lastUpdated": "2025-03-04T05:06:07Z", "versionId": "77012"},
        "name": [{"use": "official", "family": "Ravenscroft", "given": ["Wilhelmina"]}],
        "identifier": [{"type": {"coding": [{"code": "MR"}]}, "value": "MRN-550123"}],
        "telecom": [{"value": "555-0199"}],
        "address": [{"line": ["12 Elm"], "city": "Smallville", "state": "KS", "postalCode": "66950-1234"}],
        "gender": "female",
        "birthDate": "1961-05-23",
        **more,
    }


def observation(id_: str, who: str, when: str, **more: Any) -> dict[str, Any]:
    """Return an observation."""
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Rate of Wilhelmina"}]},
        "subject": {"reference": f"Patient/{who}", "display": "Wilhelmina Ravenscroft"},
        "encounter": {"reference": "https://hospital.example.org/fhir/Encounter/enc-7001"},
        "effectiveDateTime": when,
        "valueQuantity": {"value": 72.50, "unit": "beats", "system": "http://unitsofmeasure.org", "code": "/min"},
        **more,
    }


def records() -> list[dict[str, Any]]:
    """Return records of one stay, and some that have no patient, or words in a code's place."""
    return [
        patient("pat-9001", link=[{"type": "replaced-by", "other": {"reference": "Patient/pat-9002"}}]),
        patient("pat-9002", birthDate="1920-01-30", address=[{"postalCode": "05912", "state": "MT"}]),
        patient("pat-9003", birthDate="1980-07"),
        {
            "resourceType": "Encounter",
            "id": "enc-7001",
            "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
            "subject": {"reference": "Patient/pat-9001"},
            "period": {"start": "2024-02-03T10:11:12Z", "end": "2024-02-09T16:17:18Z"},
            "serviceProvider": {"reference": "Organization/org-42"},
        },
        observation("obs-1", "pat-9001", "2024-02-04T08:09:10Z"),
        observation("obs-2", "pat-9001", "2024-02-04T08:09:10Z", meta={"lastUpdated": "2024-02-05T00:00:00Z"}),
        observation("obs-3", "pat-9001", "2024-02"),
        observation("obs-4", "nobody-1", "2024-02-07", code={"text": "pulse of Ravenscroft"}),
        observation(
            "obs-5",
            "pat-9002",
            "2024-02-08T00:00:00Z",
            component=[{"code": {"coding": [{"system": "s", "code": "c1"}]}, "valueString": "seen in Smallville"}],
        ),
        {
            "resourceType": "Condition",
            "id": "con-3001",
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "38341003"}], "text": "as Dr Oakes says"},
            "subject": {"reference": "Patient/pat-9001"},
            "onsetDateTime": "2023-11-12",
            "recordedDate": "2023-11-15",
        },
    ]


SECRETS = (
    *("Ravenscroft", "Wilhelmina", "MRN-550123", "555-0199", "Elm", "Smallville", "66950", "059", "Oakes", "beats"),
    *("pat-9001", "pat-9002", "pat-9003", "enc-7001", "obs-1", "con-3001", "org-42", "nobody-1", "hospital.example"),
    *("1961-05-23", "1920", "2024-02-03", "2024-02-09", "2024-02-04", "2023-11-12", "2023-11-15", "2025-03-04"),
    *("77012", "secret_file", "dt=2026"),
)


def test_nothing_that_names_a_person_is_left(without_persons: Profile) -> None:
    """No value in silver holds a name, id, place, date, number or file name of the input; the key is nowhere."""
    warehouse, found = without_persons, 0
    for table in silver.TABLES:
        for row in read_rows(warehouse, table.identifier):
            found += 1
            values = {name: value for name, value in row.items() if name not in ("ingested_at", "batch_id")}
            for name, value in values.items():
                text = json.dumps(value, default=str)
                assert not [secret for secret in SECRETS if secret in text], (table.name, name, value)
    assert found == len(records()) + 1
    told = [KEY.encode(), KEY.encode().hex().encode()]
    held = [path for path in Path(warehouse.warehouse).rglob("*") if path.is_file()]
    assert held
    assert not [path for path in held if any(text in path.read_bytes() for text in told)]


def test_what_belongs_together_still_does(plain: Profile, without_persons: Profile) -> None:
    """Tables join, the same rows win, and components belong to their observation."""
    warehouse = without_persons
    for table in silver.TABLES:
        assert len(read_rows(plain, table.identifier)) == len(read_rows(warehouse, table.identifier)), table.name
    message = "default|Patient|pat-9001"
    one = hmac.new(KEY.encode(), message.encode(), hashlib.sha256).hexdigest()[:32]
    people = {row["patient_id"]: row for row in read_rows(warehouse, "silver.silver_dim_patient")}
    assert one in people
    assert people[one]["replaced_by"] in people
    (stay,) = read_rows(warehouse, "silver.silver_fct_encounter")
    assert (stay["patient_id"], stay["subject"]["id"], stay["flags"]) == (one, one, [])
    assert stay["length_of_stay_hours"] == pytest.approx(150.1, abs=0.01)
    facts = read_rows(warehouse, "silver.silver_fct_observation")
    (winner,) = [row for row in facts if row["patient_id"] == one]
    lost = read_rows(warehouse, "silver.silver_observation_collisions")
    assert [row["winner_observation_id"] for row in lost if row["collision_reason"] == "SAME_KEY"] == [
        winner["observation_id"]
    ]
    true = [row for row in read_rows(plain, "silver.silver_fct_observation") if row["patient_id"] == "pat-9001"]
    assert [row["observation_id"] for row in true] == ["obs-2"]
    expected = hmac.new(KEY.encode(), b"default|Observation|obs-2", hashlib.sha256).hexdigest()[:32]
    assert winner["observation_id"] == expected
    assert (winner["encounter_id"], str(winner["value_number"]).rstrip("0"), winner["unit_code"]) == (
        stay["encounter_id"],
        "72.5",
        "/min",
    )
    component = next(row for row in facts + lost if row["parent_observation_id"])
    assert component["observation_id"] == f"{component['parent_observation_id']}#1"


def test_dates_places_and_ages_have_their_rules(without_persons: Profile) -> None:
    """Intervals hold, no bound tells the shift, ages over 89 are one group, and few people share no zip code."""
    one = hmac.new(KEY.encode(), b"default|Patient|pat-9001", hashlib.sha256).hexdigest()[:32]
    people = {row["patient_id"]: row for row in read_rows(without_persons, "silver.silver_dim_patient")}
    (stay,) = read_rows(without_persons, "silver.silver_fct_encounter")
    facts = read_rows(without_persons, "silver.silver_fct_observation")
    (winner,) = [row for row in facts if row["patient_id"] == one]
    elder = people[people[one]["replaced_by"]]
    assert (elder["birth_date"], elder["birth_date_low"], elder["postal_code"]) == (None, None, "000")
    assert people[one]["postal_code"] == "669"
    third = next(row for row in people.values() if row["birth_date_low"] == date(1980, 1, 1))
    assert (third["birth_date_high"], third["birth_date_precision"]) == (date(1980, 12, 31), "year")
    if without_persons.deidentify == SHIFT:
        moved = winner["obs_time"] - datetime(2024, 2, 4, 8, 9, 10, tzinfo=UTC)
        assert timedelta(days=1) <= abs(moved) <= timedelta(days=182)
        assert stay["period_start"] - datetime(2024, 2, 3, 10, 11, 12, tzinfo=UTC) == moved
        assert people[one]["birth_date"] - date(1961, 5, 23) == moved
        assert people[one]["birth_date_low"] == people[one]["birth_date_high"] == people[one]["birth_date"]
    else:
        assert winner["obs_time"].year == 2024
        assert (winner["obs_time_text"], winner["obs_time_precision"]) == ("2024", "year")
        assert (stay["period_start"], stay["period_start_text"]) == (None, "2024")
        assert (people[one]["birth_date"], people[one]["birth_date_text"]) == (None, "1961")


@pytest.mark.thorough
def test_runs_one_by_one_give_what_one_run_gives(warehouse: Profile, tmp_path: Path) -> None:
    """Records in three loads, corrections and a deletion among them, leave the silver that one load would leave."""
    newer = {"meta": {"lastUpdated": "2026-05-01T00:00:00Z"}}
    deletion = {
        "request": {"method": "DELETE", "url": "Condition/con-3001"},
        "response": {"lastModified": "2026-06-01T00:00:00Z"},
    }
    gone = {"resourceType": "Bundle", "type": "history", "entry": [deletion]}
    parts = [records()[:5], records()[5:], [observation("obs-2", "pat-9001", "2024-03-01T00:00:00Z", **newer), gone]]
    by_parts = hidden(warehouse, YEAR)  # its times are in no true order, which must not decide
    at_once = replace(by_parts, warehouse=f"{warehouse.warehouse}-1")
    for number, part in enumerate(parts):
        write_lines(tmp_path / "raw" / f"dt=2026-01-1{number}" / "a.ndjson", *part)
        load(by_parts, tmp_path / "raw")
    load(at_once, tmp_path / "raw")
    assert silver_content(by_parts) == silver_content(at_once)
    assert silver_content(by_parts)["silver_fct_condition"] == []


def test_another_key_makes_silver_anew(warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched on, under another key, and off again, silver is what a fresh one would be; unchanged, nothing runs."""
    write_lines(tmp_path / "raw" / "a.ndjson", *records())
    load(warehouse, tmp_path / "raw")
    plain = silver_content(warehouse)
    load(hidden(warehouse, SHIFT), tmp_path / "raw")
    first = silver_content(warehouse)
    _, again = load(hidden(warehouse, SHIFT), tmp_path / "raw")
    assert again.status == "unchanged"
    monkeypatch.setenv(KEY_VARIABLE, KEY[::-1])
    load(hidden(warehouse, SHIFT), tmp_path / "raw")
    second = silver_content(warehouse)
    ids = [{json.loads(row)["patient_id"] for row in found["silver_dim_patient"]} for found in (plain, first, second)]
    assert [len(one) for one in ids] == [3, 3, 3]
    assert not ids[0] & ids[1]
    assert not ids[1] & ids[2]
    load(warehouse, tmp_path / "raw")
    assert silver_content(warehouse) == plain


def test_no_key_and_a_short_one_are_refused(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says where the key is looked for and how to make one, and does not say the key."""
    write_lines(tmp_path / "raw" / "a.ndjson", *records())
    short = "too-short-a-key"
    for given in ("", short):
        monkeypatch.setenv(KEY_VARIABLE, given)
        with pytest.raises(ConfigurationError, match=rf"{KEY_VARIABLE}.*openssl") as raised:
            load(hidden(warehouse, YEAR), tmp_path / "raw")
        assert short not in str(raised.value)
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(replace(hidden(warehouse, YEAR), deidentify_key=str(tmp_path / "none")), tmp_path / "raw")
    (tmp_path / "key").write_text(f"{KEY}\n")
    load(replace(hidden(warehouse, YEAR), deidentify_key=str(tmp_path / "key")), tmp_path / "raw")
    with pytest.raises(ConfigurationError, match="Legal: shift, year"):
        replace(warehouse, deidentify="month")


def test_every_column_has_a_rule_or_is_dropped() -> None:
    """A rule names a column there is; what is required is never dropped; the columns without a rule are these."""
    from airflow_lakehouse.tables.privacy import RULES

    dropped = set()
    for table in silver.TABLES:
        assert set(RULES[table.name]) <= set(table.column_names)
        for column in table.columns:
            if rule(table, column.name).kind == "drop":
                assert not column.required
                dropped.add(column.name)
    assert dropped == {
        *("family", "given", "mrn", "city", "class_text", "type_text", "obs_code_text", "unit", "code_text"),
        *("text", "key_text", "key_alias", "job_id", "version_id"),
        # An offset tells a place.
        *("deceased_time_offset", "period_start_offset", "period_end_offset", "obs_time_offset"),
        *("onset_offset", "abatement_offset", "recorded_offset"),
    }
    assert all(re.fullmatch("[0-9]{3}", code) for code in SMALL_ZIPS)
    assert len(set(SMALL_ZIPS)) == 17
