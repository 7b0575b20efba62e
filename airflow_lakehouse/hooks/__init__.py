"""Connections to what a lakehouse stands on.

========== ==========================================================
module     what it reaches
========== ==========================================================
edge       this package's errors, turned into Airflow's
lakehouse  the ``lakehouse`` connection: a profile, and its catalog
partitions one partition of an Iceberg table, from its metadata
raw_drop   the files of a raw drop, on this machine or in S3
spark      where Spark jobs run, behind one protocol
========== ==========================================================
"""

from __future__ import annotations
