"""A kit for testing what is built on this package: a lakehouse of one's own, and what every parser must keep.

============ ================================================================
module       what it holds
============ ================================================================
plugin       the pytest fixtures, found by pytest without being asked for
conformance  what every parser must keep
============ ================================================================
"""

from __future__ import annotations

from airflow_lakehouse.testing.conformance import check_parser

__all__ = ["check_parser"]
