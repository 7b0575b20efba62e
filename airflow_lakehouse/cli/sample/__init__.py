"""Seeded sample input: FHIR in several shapes, PDFs, a second day, and some of it broken.

========== =================================================================
module     what it holds
========== =================================================================
command    ``lakehouse sample``
report     what was written
world      people, and what happens to them, from a seed
resources  the world as FHIR resources
shapes     resources as files: NDJSON, gzip, Bundles, arrays
broken     records that must end in quarantine
documents  PDFs, digital and scanned
========== =================================================================
"""

from __future__ import annotations

from airflow_lakehouse.cli.sample.command import add_arguments, run, write_sample
from airflow_lakehouse.cli.sample.report import SampleReport

__all__ = ["SampleReport", "add_arguments", "run", "write_sample"]
