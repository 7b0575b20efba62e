"""The pipeline as plain Python, to judge the real one by.

It is written from what the documentation promises (``docs/explanation/data-model.md``, ``docs/decisions/0005``), with
lists, sorts and :mod:`json`, and shares nothing with the Spark half but the names of tables and reasons. Where the two
disagree, one of them is wrong.

========= ==================================================================
module    what it holds
========= ==================================================================
records   a file's bytes to the records and rejects in it
rules     which version wins, and which observation holds its key
lakehouse files in runs to what bronze, quarantine and silver must hold
verify    a lakehouse compared with it: what was lost, doubled or is wrong
========= ==================================================================
"""

from __future__ import annotations

from airflow_lakehouse.testing.reference.lakehouse import ReferenceLakehouse
from airflow_lakehouse.testing.reference.records import DropFile, read_drop
from airflow_lakehouse.testing.reference.verify import Differences, compare

__all__ = ["Differences", "DropFile", "ReferenceLakehouse", "compare", "read_drop"]
