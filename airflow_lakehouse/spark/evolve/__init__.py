"""Bringing the tables of a warehouse to what is declared today, in their metadata alone: no row is rewritten.

========== ==============================================================================
module     what it does
========== ==============================================================================
plan       every table's changes, worked out and staged before the first is committed
columns    added, renamed, widened, allowed to be null, put in order
fields     the same within structs, lists and maps, type by type
partitions partition fields added and dropped
settings   properties, of which a user's own are left alone
changes    what can be said of a change, and of one that is refused
========== ==============================================================================

Iceberg knows columns and partition fields by their ids: files written before a change are read under the new names and
types, and snapshots from before it under theirs. Follows https://iceberg.apache.org/spec/#schema-evolution and
https://iceberg.apache.org/spec/#partition-evolution. What would touch rows is refused, for all tables at once, before
anything is written.
"""

from __future__ import annotations

from airflow_lakehouse.spark.evolve.changes import Change, Refusal, TablePlan
from airflow_lakehouse.spark.evolve.plan import behind, check_current, ensure_tables, evolve, plan_tables

__all__ = ["Change", "Refusal", "TablePlan", "behind", "check_current", "ensure_tables", "evolve", "plan_tables"]
