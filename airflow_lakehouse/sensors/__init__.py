"""Sensors. Each says what it found, and returns it: the next task need not look again.

========= ==========================================================
module    what it waits for
========= ==========================================================
raw_drop  files in a raw drop
partition a partition of an Iceberg table, by Iceberg's own metadata
========= ==========================================================
"""

from __future__ import annotations
