"""Operators: they validate, submit, defer and report. What is done to data is in the Spark half.

============= ======================================================
module        what it does
============= ======================================================
iceberg_spark run a Spark job on whatever engine the connection names
documents     read the pages of the documents in a drop
maintenance   compact, expire and clean up tables for which it is due
rollback      set tables back to what a run left
============= ======================================================
"""

from __future__ import annotations
