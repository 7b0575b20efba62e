"""Keeping tables cheap to read: what state they are in, what is due, and doing it without losing a row.

========== ==============================================================================
module     what it does
========== ==============================================================================
health     what a table costs its readers, from Iceberg metadata
history    its snapshots, and which of them somebody still needs
storage    what lies below its location, and what of it nothing names
policy     when something is due: thresholds, each with its default
optimizers which steps AWS Glue does by itself
plan       health, history and policy to ordered steps, each with its reason
procedures a step as a CALL of Iceberg's Spark procedures
verify     the rows before and after a rewrite; back to what was where they differ
========== ==============================================================================

Everything but ``procedures`` and ``verify`` does without Spark.
"""

from __future__ import annotations
