"""What a policy may say."""

from __future__ import annotations

import pytest

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.spark.iceberg import schema
from airflow_lakehouse.spark.jobs import JobArguments
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.tables import ALL


def test_a_policy_survives_json_and_text() -> None:
    """It reaches the job as JSON, and from the command line and templates as text."""
    policy = MaintenancePolicy(tables=("a", "b"), min_input_files=3, snapshot_days=0.5, orphan_days=2)
    assert MaintenancePolicy.from_dict(policy.as_dict()) == policy
    texts = ["tables=a,b", "min_input_files=3", "snapshot_days=0.5", "orphan_days=2"]
    assert MaintenancePolicy.from_settings(texts) == policy
    assert MaintenancePolicy.from_settings(["orphan_days=", "tables="]) == MaintenancePolicy()
    given = {"profile": {"warehouse": "here"}, "policy": policy.as_dict()}
    assert JobArguments.from_dict(given).policy == policy
    assert JobArguments.from_dict({**given, "policy": None}).policy == MaintenancePolicy()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("min_input_files=1", "2 to "),
        ("min_input_files=2.5", "a whole number"),
        ("max_delete_ratio=0", "more than 0"),
        ("max_delete_ratio=1.1", "at most 1"),
        ("max_delete_ratio=nan", "at most 1"),
        ("snapshot_days=-1", "0 to "),
        ("snapshot_days=soon", "a number"),
        ("snapshot_days=inf", "0 to "),
        ("keep_snapshots=0", "1 to "),
        ("min_expired=0", "1 to "),
        ("orphan_days=0.5", "1 to "),
        ("orphan_days=nan", "1 to "),
        ("min_files=3", "min_input_files"),
        ("keep_snapshots", "NAME=VALUE"),
    ],
)
def test_what_makes_no_sense_is_refused(setting: str, said: str) -> None:
    """Each value that would do harm, or that means nothing, is refused with what is legal."""
    with pytest.raises(ConfigurationError, match=said):
        MaintenancePolicy.from_settings([setting])


def test_tables_are_made_with_the_same_retention() -> None:
    """Whoever else expires snapshots keeps as many, and as long, as our own default does."""
    policy = MaintenancePolicy()
    for table in ALL:
        properties = schema.properties(table)
        assert int(properties["history.expire.max-snapshot-age-ms"]) == policy.snapshot_days * 86_400_000
        assert int(properties["history.expire.min-snapshots-to-keep"]) == policy.keep_snapshots
        assert properties["write.metadata.delete-after-commit.enabled"] == "true"
