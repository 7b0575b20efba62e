"""Sensors. Each says what it found, and returns it: the next task need not look again.

============ ===============================================================
module       what it waits for
============ ===============================================================
raw_drop     files in a raw drop; a day of it that is complete
raw_versions new versions of objects in S3, by listing or by events in SQS
partition    a partition of an Iceberg table, by Iceberg's own metadata
table        commits of data to an Iceberg table, their age, a number of rows
============ ===============================================================
"""

from __future__ import annotations
