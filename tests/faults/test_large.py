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
_MEGABYTE = 1_000_000


@pytest.mark.thorough
@pytest.mark.parametrize(("megabytes", "end"), [(60, b'"}}'), (200, b'"}}'), (200, b"")], ids=["60", "200", "cut"])
def test_a_line_of_200_megabytes(warehouse: Profile, tmp_path: Path, megabytes: int, end: bytes) -> None:
    """Row 20: a line of 60 MB loads; one of 200 MB, whole or cut off, is in quarantine; its neighbours load.

    The engine, which other runs share, does not run out of memory for either.
    """
    large = b'{"resourceType":"Patient","id":"large","text":{"div":"' + b"a" * megabytes * _MEGABYTE + end
    write_lines(tmp_path / "drop/1.ndjson", patient("before"), large, patient("after"))
    profile = warehouse.with_raw(str(tmp_path / "drop"))
    load_and_compare(profile, ReferenceLakehouse())
    is_rejected = megabytes > 60
    assert ids(profile) == {"before", "after"} | (set() if is_rejected else {"large"})
    rejects = [(row["position"], row["reason"], row["raw"]) for row in read_rows(profile, "bronze_quarantine")]
    assert rejects == ([(2, "RECORD_TOO_LARGE", large[: 2**20])] if is_rejected else [])
