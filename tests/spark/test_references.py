"""References in every form, taken apart; orphans flagged and healed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.spark.transforms import fhir, references

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
CASES = json.loads((Path(__file__).parents[1] / "data" / "fhir" / "references.json").read_text())
RESOLVED = {"urn:uuid:known": "Patient/p9", "urn:oid:1.2.3": "Group/g9"}


def test_every_form_is_taken_apart(lakehouse_spark: SparkSession) -> None:
    """Kind, type, id, base and version are those written down for each form, and so is the patient it names."""
    contained = [{"resourceType": "Patient", "id": "inside"}]
    rows = [(no, json.dumps({"subject": case[1], "contained": contained}), RESOLVED) for no, case in enumerate(CASES)]
    given = lakehouse_spark.createDataFrame(rows, "no INT, body STRING, bundle_refs MAP<STRING,STRING>")
    read = fhir.read_body(given, f"subject {references.REFERENCE}, {references.CONTAINED}")
    found = references.with_references(read, {"subject": "r.subject"}).selectExpr(
        "no", "subject.*", f"{references.named_id('subject', 'Patient')} AS patient_id"
    )
    told = {row["no"]: (list(row[1:6]), row["patient_id"]) for row in found.collect()}
    assert {CASES[no][0]: one for no, one in told.items()} == {case[0]: (case[2], case[3]) for case in CASES}
