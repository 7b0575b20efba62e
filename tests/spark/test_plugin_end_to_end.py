"""An outside parser, from a file of its own kind to its own bronze table."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.cli.show import read_rows
from tests.spark.helpers import load

if TYPE_CHECKING:
    from airflow_lakehouse.profile import Profile

pytestmark = pytest.mark.spark
PLUGINS = Path(__file__).parents[2] / "plugins"


def test_a_csv_source_fills_its_own_table(warehouse: Profile, tmp_path: Path) -> None:
    """Good lines are typed rows with provenance; bad lines and unknown files are in quarantine; nothing is lost."""
    drop = tmp_path / "drop" / "dt=2026-01-01"
    drop.mkdir(parents=True)
    register = "patient_id,vaccine,given_on,dose_ml\np1,08,2026-01-01,0.500\n,08,2026-01-01,1\np2\np3,09,,\n"
    (drop / "register.txt").write_text(register)
    (drop / "wards.txt").write_text("ward;bed;patient\nA;1;p1\nA;2\n")
    (drop / "noise.bin").write_bytes(b"\x00\x01\x02")
    plugins = (str(PLUGINS / "csv_dropin.py"), str(PLUGINS / "lakehouse_csv_parser/lakehouse_csv_parser/__init__.py"))
    bronze, _ = load(replace(warehouse, parsers=plugins), tmp_path / "drop")

    assert bronze.records == {"read": 7, "bronze": 3, "quarantine": 4}
    assert bronze.quarantine == {"MISSING_KEY": 1, "UNKNOWN_FORMAT": 1, "WRONG_COLUMN_COUNT": 2}
    first, second = sorted(read_rows(warehouse, "bronze_csv_immunisation"), key=lambda row: row["patient_id"])
    assert (first["patient_id"], first["dose_ml"], str(first["dt"])) == ("p1", Decimal("0.500"), "2026-01-01")
    assert (second["patient_id"], second["given_on"], second["source_row"]) == ("p3", None, 5)
    assert len(read_rows(warehouse, "bronze_csv_ward_list")) == 1
    raws = {row["reason"]: row["raw"] for row in read_rows(warehouse, "bronze_quarantine")}
    assert raws["UNKNOWN_FORMAT"] == b"\x00\x01\x02"
