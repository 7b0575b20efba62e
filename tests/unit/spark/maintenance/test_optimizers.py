"""What is left to AWS Glue: botocore's own stub answers as Glue does, checked against its service model."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.stub import Stubber

from airflow_lakehouse.spark.maintenance.health import TableHealth
from airflow_lakehouse.spark.maintenance.optimizers import left_to_glue
from airflow_lakehouse.spark.maintenance.plan import COMPACT, DELETES, EXPIRE, MANIFESTS, ORDER, ORPHANS, Step
from airflow_lakehouse.spark.maintenance.survey import Finding

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

TABLE = "silver.silver_dim_patient"
STEPS = tuple(Step(TABLE, action, "because") for action in ORDER)
_GLUE = {"DatabaseName": "silver", "Name": "silver_dim_patient"}


class Glue:
    """A client of Glue whose answers are told in advance, in their order."""

    def __init__(self) -> None:
        self.client = boto3.client("glue", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
        self._stub = Stubber(self.client)
        self._stub.activate()

    def says(
        self, kind: str, configuration: dict[str, Any] | None = None, error: str = "EntityNotFoundException"
    ) -> None:
        """Answer about one optimizer: its configuration, or an error."""
        table = {"Name": "silver_dim_patient", "DatabaseName": "silver", "CatalogId": "123456789012"}
        self._stub.add_response("get_table", {"Table": table}, _GLUE)
        asked = {"CatalogId": "123456789012", "DatabaseName": "silver", "TableName": "silver_dim_patient", "Type": kind}
        if configuration is None:
            self._stub.add_client_error("get_table_optimizer", error, expected_params=asked)
            return
        answer = {"TableName": "silver_dim_patient", "TableOptimizer": {"type": kind, "configuration": configuration}}
        self._stub.add_response("get_table_optimizer", answer, asked)

    def left(self, *steps: Step) -> dict[Step, str]:
        """Ask, and see that nothing is left to be asked."""
        told = left_to_glue(cast("Catalog", SimpleNamespace(glue=self.client)), steps)
        self._stub.assert_no_pending_responses()
        return told


def test_what_an_optimizer_does_is_left_to_it() -> None:
    """Compaction, which merges delete files too, is asked about once; one that is off, or absent, leaves nothing."""
    glue = Glue()
    glue.says("compaction", {"enabled": True})
    glue.says("retention", {"enabled": False})
    glue.says("orphan_file_deletion")
    assert {step.action: kind for step, kind in glue.left(*STEPS).items()} == {
        COMPACT: "compaction",
        DELETES: "compaction",
    }


def test_nothing_is_asked_about_what_is_not_due() -> None:
    """A table in good health costs no request; merging manifests is nobody's but ours."""
    assert Glue().left() == {}
    assert Glue().left(Step(TABLE, MANIFESTS, "because")) == {}


@pytest.mark.parametrize("error", ["AccessDeniedException", "UnknownOperationException"])
def test_who_may_not_ask_maintains_as_before(error: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without the permission, or before another server, the step is ours, and a warning says why."""
    glue = Glue()
    glue.says("retention", error=error)
    with caplog.at_level(logging.WARNING):
        assert glue.left(Step(TABLE, EXPIRE, "because")) == {}
    assert error in caplog.text


def test_a_catalog_without_optimizers_is_not_asked() -> None:
    """SQLite's has no client of Glue."""
    assert left_to_glue(cast("Catalog", SimpleNamespace()), STEPS) == {}


def test_the_report_says_what_was_left() -> None:
    """Steps come in their order, whoever does them; those of Glue name the optimizer."""
    health = TableHealth("silver", "silver_dim_patient", 2, datetime(2026, 1, 1, tzinfo=UTC))
    told = Finding(health, (STEPS[2], STEPS[4]), {STEPS[0]: "compaction", STEPS[3]: "retention"}).as_dicts()
    assert [(step["action"], step.get("left_to")) for step in told] == [
        (COMPACT, "AWS Glue, compaction"),
        (MANIFESTS, None),
        (EXPIRE, "AWS Glue, retention"),
        (ORPHANS, None),
    ]
