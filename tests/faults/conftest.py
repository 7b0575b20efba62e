"""Fixtures of the fault tests; not all of them need the engine, so none is started unasked."""

from __future__ import annotations

from tests.spark.conftest import warehouse

__all__ = ["warehouse"]
