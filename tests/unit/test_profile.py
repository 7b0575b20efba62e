"""The profile."""

from __future__ import annotations

import pytest

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.profile import Profile


def test_a_profile_survives_json() -> None:
    """What goes into a job's arguments comes out of them."""
    profile = Profile("/w", raw="/r", parsers=("/p.py",), catalog_properties={"s3.endpoint": "x"})
    assert Profile.from_dict(profile.as_dict()) == profile


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"warehouse": "/w", "catalog": "hive"},
        {"warehouse": "/w", "runner": "livy"},
        {"warehouse": "/w", "ocr": "magic"},
        {"warehouse": "/w", "warehose": "/w"},
        {"warehouse": "s3://b/w"},
    ],
)
def test_a_wrong_profile_is_refused(values: dict[str, str]) -> None:
    """A missing warehouse, an unknown field or value, and SQLite in S3 are errors that say so."""
    with pytest.raises(ConfigurationError):
        Profile.from_dict(values)


def test_uris_are_spelled_as_paths() -> None:
    """Blanks and equals signs stay what they are: Hadoop takes percent signs literally."""
    assert Profile("/a b/dt=1").warehouse_uri == "file:///a b/dt=1"
