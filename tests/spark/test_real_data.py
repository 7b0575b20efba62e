"""Real FHIR that nobody here wrote: HL7's and US Core's examples, and whole patients as Bundles."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.cli.show import read_rows
from tests.spark.helpers import load

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile

DATA = Path(__file__).parents[3] / "shared" / "data" / "fhir"
pytestmark = [
    pytest.mark.spark,
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not beside the project"),
]


def test_every_record_is_loaded_or_in_quarantine(warehouse: Profile, tmp_path: Path) -> None:
    """No example crashes the run; what is not loaded has a reason, and the counts add up."""
    drop = tmp_path / "drop"
    for name in ("hl7-r4-examples-clinical", "us-core-examples"):
        with tarfile.open(DATA / "examples" / f"{name}.tgz") as archive:
            archive.extractall(drop / name, filter="data")
    shutil.copytree(DATA / "bundles", drop / "bundles")
    bronze, _ = load(warehouse, drop)

    assert bronze.records["read"] == bronze.records["bronze"] + bronze.records["quarantine"]
    assert bronze.files["found"] == bronze.files["loaded"] + bronze.files["quarantined"]
    # Entries of request and response Bundles that carry no resource; everything else is a resource and is loaded.
    assert set(bronze.quarantine) == {"EMPTY_ENTRY", "CONDITIONAL_DELETE"}
    assert bronze.records["bronze"] > 18_000
    observations = read_rows(warehouse, "silver_fct_observation")
    assert sum(row["patient_id"] is not None for row in observations) == len(observations)
    # References inside a Bundle are urns; resolved, they name the patients that the same Bundles brought.
    patients = {row["patient_id"] for row in read_rows(warehouse, "silver_dim_patient")}
    bundled = {row["patient_id"] for row in observations if "/bundles/" in row["source_uri"]}
    assert bundled <= patients
    assert len(bundled) == 12
