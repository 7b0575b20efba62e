"""References in every form, taken apart; orphans flagged and healed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.silver import orphans
from airflow_lakehouse.spark.transforms import fhir, references
from airflow_lakehouse.tables import silver
from tests.spark.helpers import load, silver_content, write_lines

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
CASES = json.loads((Path(__file__).parents[1] / "data" / "fhir" / "references.json").read_text())
RESOLVED = {"urn:uuid:known": "Patient/p9", "urn:oid:1.2.3": "Group/g9"}


def test_every_form_is_taken_apart(lakehouse_spark: SparkSession) -> None:
    """Kind, type, id, base and version are those written down for each form, and so is the patient it names."""
    contained = [{"resourceType": "Patient", "id": "inside"}]
    rows = [(no, json.dumps({"subject": case[1], "contained": contained}), RESOLVED) for no, case in enumerate(CASES)]
    given = lakehouse_spark.createDataFrame(rows, "no INT, body STRING, bundle_refs MAP<STRING,STRING>").selectExpr(
        "*", "'Encounter' AS resource_type", "CAST(NULL AS STRING) AS _rescued"
    )
    read = fhir.read_body(given, f"subject {references.REFERENCE}, {references.CONTAINED}")
    found = references.with_references(read, {"subject": "r.subject"}).selectExpr(
        "no", "subject.*", f"{references.named_id('subject', 'Patient')} AS patient_id"
    )
    told = {row["no"]: (list(row[1:6]), row["patient_id"]) for row in found.collect()}
    assert {CASES[no][0]: one for no, one in told.items()} == {case[0]: (case[2], case[3]) for case in CASES}


def _subject(kind: str, id_: str, patient: str = "p", **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": id_, "subject": {"reference": f"Patient/{patient}"}, **more}


FACTS = (
    _subject("Encounter", "e1", partOf={"reference": "Encounter/e0"}),
    _subject("Condition", "c1", encounter={"reference": "Encounter/e1"}),
    _subject("Observation", "o1", encounter={"reference": "Encounter/gone"}, effectiveDateTime="2026-01-01"),
    _subject("Observation", "o2", "q", code={"text": "c"}, effectiveDateTime="2026-01-01T00:00:00Z")
    | {"component": [{"code": {"text": "d"}}]},
    {"resourceType": "Patient", "id": "r", "link": [{"type": "replaced-by", "other": {"reference": "Patient/q"}}]},
)
PATIENTS = tuple({"resourceType": "Patient", "id": name} for name in "pq")


def _flags(profile: Profile) -> dict[str, list[str]]:
    """Return the flags of every silver row that has some, by its id."""
    keys = {table.name: table.key[-1] for table in (silver.PATIENT, silver.ENCOUNTER, silver.CONDITION)}
    keys |= dict.fromkeys((silver.OBSERVATION.name, silver.COLLISIONS.name), "observation_id")
    rows = [(row[key], row["flags"]) for name, key in keys.items() for row in read_rows(profile, name)]
    return {id_: flags for id_, flags in sorted(rows) if flags}


def test_orphans_are_flagged_and_healed(warehouse: Profile, tmp_path: Path) -> None:
    """A row that names what is not there stays, flagged; the flag goes when it arrives, and comes when it goes."""
    drop = tmp_path / "drop"
    write_lines(drop / "1.ndjson", *FACTS)
    load(warehouse, drop)
    alone = {
        "c1": ["ORPHAN_PATIENT"],
        "e1": ["ORPHAN_PATIENT", "ORPHAN_PART_OF"],
        "o1": ["ORPHAN_PATIENT", "ORPHAN_ENCOUNTER"],
        "o2": ["ORPHAN_PATIENT"],
        "o2#1": ["ORPHAN_PATIENT"],
        "r": ["ORPHAN_REPLACED_BY"],
    }
    assert _flags(warehouse) == alone

    write_lines(drop / "2.ndjson", *PATIENTS, _subject("Encounter", "e0"))
    load(warehouse, drop)
    assert _flags(warehouse) == {"o1": ["ORPHAN_ENCOUNTER"]}

    delete = {"request": {"method": "DELETE", "url": "Patient/q"}}
    write_lines(drop / "3.ndjson", {"resourceType": "Bundle", "type": "transaction", "entry": [delete]})
    write_lines(drop / "2.ndjson", *PATIENTS)
    load(warehouse, drop)
    gone = {"e1": ["ORPHAN_PART_OF"], "o1": ["ORPHAN_ENCOUNTER"], "r": ["ORPHAN_REPLACED_BY"]}
    assert _flags(warehouse) == gone | {"o2": ["ORPHAN_PATIENT"], "o2#1": ["ORPHAN_PATIENT"]}

    at_once = Profile(str(tmp_path / "at_once"))
    load(at_once, drop)
    assert silver_content(at_once) == silver_content(warehouse)


def test_an_id_of_another_hospital_is_an_orphan(warehouse: Profile, tmp_path: Path) -> None:
    """A patient of the same id from another source system is somebody else."""
    write_lines(tmp_path / "drop/source=north/1.ndjson", *PATIENTS)
    write_lines(tmp_path / "drop/source=south/1.ndjson", _subject("Condition", "c"))
    load(warehouse, tmp_path / "drop")
    assert _flags(warehouse) == {"c": ["ORPHAN_PATIENT"]}


def test_every_link_has_a_flag_and_a_table() -> None:
    """What a column names is a silver table that is refreshed before it, and its flag is known."""
    for table in silver.TABLES:
        for link in orphans.links(table):
            assert link.flag
            assert silver.TABLES.index(link.target) <= silver.TABLES.index(table)
            assert link.target.reads[0] in table.reads
