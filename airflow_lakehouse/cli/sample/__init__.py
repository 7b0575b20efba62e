"""Seeded sample input: FHIR in several shapes, PDFs, a second day, and some of it broken.

============ =================================================================
module       what it holds
============ =================================================================
command      ``lakehouse sample``
drop         the drop as a whole: which day holds what
day          one day's FHIR: who is sent in which file, changed or again
report       what was written
world        people, and what happens to them, from a seed
resources    the world as FHIR resources
observations what was measured, as FHIR Observations
shapes       resources as files: NDJSON, gzip, Bundles, arrays
broken       records that must be rejected, or loaded with a flag
documents    PDFs, digital and scanned
============ =================================================================
"""

from __future__ import annotations

from airflow_lakehouse.cli.sample.command import add_arguments, run
from airflow_lakehouse.cli.sample.drop import write_sample
from airflow_lakehouse.cli.sample.report import SampleReport

__all__ = ["SampleReport", "add_arguments", "run", "write_sample"]
