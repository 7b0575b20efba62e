"""Addresses of engines, and shares of rejects: told wrong, they are refused at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.exceptions import ConfigurationError, EngineError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze import staging
from airflow_lakehouse.spark.engine import sockets
from airflow_lakehouse.spark.jobs import JobArguments
from airflow_lakehouse.spark.storage import files

if TYPE_CHECKING:
    from pathlib import Path


def test_a_dead_server_is_named_without_its_token() -> None:
    """Where nobody answers, host and port are in the message, the token behind them is not."""
    port = sockets.free_port()
    with pytest.raises(EngineError, match=rf"localhost:{port}") as raised:
        sockets.check_reachable(f"sc://localhost:{port}/;token=s3cret", "LAKEHOUSE_SPARK_REMOTE")
    assert "s3cret" not in str(raised.value)
    assert "LAKEHOUSE_SPARK_REMOTE" in str(raised.value)


@pytest.mark.parametrize("given", ["5%", "-0.1", "1.5", "nan"])
def test_a_share_is_from_nought_to_one(given: str) -> None:
    """Whatever else is typed is refused before anything is read."""
    with pytest.raises(ConfigurationError, match="max_bad_ratio"):
        JobArguments.from_dict({"profile": {"warehouse": "/w"}, "max_bad_ratio": given})


def test_only_what_was_abandoned_is_cleared(tmp_path: Path) -> None:
    """A staging folder nothing has touched for days goes; one of today stays; no folder at all is fine."""
    staging.clear_abandoned(Profile(f"{tmp_path}/none"))
    for name, age in (("old", 4 * 86400), ("new", 60)):
        part = tmp_path / files.STAGING / name / "fhir"
        part.mkdir(parents=True)
        (part / "x.parquet").write_text("")
        for path in (part / "x.parquet", part, part.parent):
            touched = path.stat().st_mtime - age
            os.utime(path, (touched, touched))
    staging.clear_abandoned(Profile(f"{tmp_path}"))
    assert [path.name for path in (tmp_path / files.STAGING).iterdir()] == ["new"]
