"""Connections to what a lakehouse stands on.

=============== ==========================================================
module          what it reaches
=============== ==========================================================
edge            this package's errors, turned into Airflow's
iceberg         an Iceberg catalog, from any connection that leads to one
lakehouse       the ``lakehouse`` connection: a profile, and its catalog
looking         what sensors and triggers share: one look
object_versions new versions of objects in S3, by listing
partitions      one partition of an Iceberg table, from its metadata
raw_drop        the files of a raw drop, on this machine or in S3
s3_events       new versions of objects in S3, by events in an SQS queue
snapshots       what happened to an Iceberg table, from its metadata
spark           where Spark jobs run, behind one protocol
=============== ==========================================================
"""

from __future__ import annotations
