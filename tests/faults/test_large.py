"""A record of a size that no record has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.testing.reference import ReferenceLakehouse
from tests.faults.helpers import SPARK, ids, load_and_compare, patient
from tests.spark.helpers import write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

pytestmark = SPARK
_BYTES = 200_000_000


@pytest.mark.parametrize("end", [b'"}}', b""], ids=["whole", "cut"])
def test_a_line_of_200_megabytes(warehouse: Profile, tmp_path: Path, end: bytes) -> None:
    """Row 20: whole, the record loads as any other; cut off, it is in quarantine; its neighbours load either way."""
    large = b'{"resourceType":"Patient","id":"large","text":{"div":"' + b"a" * _BYTES + end
    write_lines(tmp_path / "drop/1.ndjson", patient("before"), large, patient("after"))
    profile = warehouse.with_raw(str(tmp_path / "drop"))
    load_and_compare(profile, ReferenceLakehouse())
    assert ids(profile) == {"before", "after"} | ({"large"} if end else set())
    rejects = [(row["position"], row["reason"], len(row["raw"])) for row in read_rows(profile, "bronze_quarantine")]
    assert rejects == ([] if end else [(2, "TRUNCATED_JSON", len(large))])
