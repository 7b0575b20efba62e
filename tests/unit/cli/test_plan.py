"""``lakehouse plan``: what a release does to a warehouse, without doing it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_lakehouse import tables
from airflow_lakehouse.cli import main
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.evolve import ensure_tables, evolve
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import ALL, Column, bronze, silver

if TYPE_CHECKING:
    import pytest

PLUGIN = Path(__file__).parents[3] / "plugins" / "lakehouse_csv_parser" / "lakehouse_csv_parser" / "__init__.py"


def _release(monkeypatch: pytest.MonkeyPatch, **columns: Column | None) -> None:
    """Declare silver_dim_patient with some columns otherwise, or no longer."""
    declared = [columns.get(one.name, one) for one in silver.PATIENT.columns]
    patient = replace(silver.PATIENT, columns=tuple(one for one in declared if one))
    monkeypatch.setattr(tables, "ALL", tuple(patient if one is silver.PATIENT else one for one in ALL))


def _files(directory: Path) -> dict[str, str]:
    """Return every file but SQLite's own scratch, with a digest."""
    return {
        os.fspath(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def _plan(warehouse: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, dict[str, object]]]:
    code = main(["plan", "--warehouse", os.fspath(warehouse), "--json", *more])
    return code, {one["table"]: one for one in json.loads(capsys.readouterr().out)}


def test_without_a_warehouse_every_table_is_to_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables of this package and of a named parser; no directory is made, and none taken that holds other files."""
    code, plans = _plan(tmp_path / "none", capsys, "--parser", os.fspath(PLUGIN))
    assert code == 0
    assert {one["action"] for one in plans.values()} == {"create"}
    assert set(plans) > {table.identifier for table in ALL}
    assert not (tmp_path / "none").exists()
    (tmp_path / "thesis.doc").write_text("x")
    assert main(["plan", "--warehouse", os.fspath(tmp_path)]) == 2
    assert "holds other files" in capsys.readouterr().err


def test_the_plan_is_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every change is told and none made; once made, there is nothing left to tell."""
    warehouse = tmp_path / "warehouse"
    profile = Profile(os.fspath(warehouse))
    create_local_catalog(profile)
    ensure_tables(load_pyiceberg(profile))
    assert {one["action"] for one in _plan(warehouse, capsys)[1].values()} == {"none"}

    town = Column("town", "string", "Town", earlier_names=("city",))
    _release(monkeypatch, city=town, mrn=None)
    before = _files(warehouse)
    code, plans = _plan(warehouse, capsys)
    assert code == 0
    patient = plans.pop("silver.silver_dim_patient")
    assert patient["changes"] == [{"kind": "rename", "name": "town", "detail": "was city"}]
    assert patient["left_alone"] == ["column mrn: not declared"]
    assert {one["action"] for one in plans.values()} == {"none"}
    assert main(["plan", "--warehouse", os.fspath(warehouse)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "silver.silver_dim_patient              rename town: was city",
        "silver.silver_dim_patient              leave column mrn: not declared",
        f"{len(ALL)} tables: 0 to create, 1 to change, {len(ALL) - 1} as declared, 0 refused",
    ]
    assert _files(warehouse) == before


def test_who_only_reads_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first job of a release that renames: old names, and a note that says so; afterwards, none."""
    warehouse = os.fspath(tmp_path)
    create_local_catalog(Profile(warehouse))
    ensure_tables(load_pyiceberg(Profile(warehouse)))
    town = Column("town", "string", "Town", earlier_names=("city",))
    _release(monkeypatch, city=town)
    note = "note: silver.silver_dim_patient is as another release left it (rename town: was city)"
    for command in (["tables", "--json"], ["show", "silver_dim_patient", "--json"]):
        assert main([*command, "--warehouse", warehouse]) == 0
        told = capsys.readouterr()
        assert note in told.err
        json.loads(told.out)
    assert main(["show", "silver_fct_condition", "--warehouse", warehouse]) == 0
    assert "note" not in capsys.readouterr().err
    evolve(load_pyiceberg(Profile(warehouse)), tables.ALL)
    for command in (["tables"], ["show", "silver_dim_patient"]):
        assert main([*command, "--warehouse", warehouse]) == 0
        assert "note" not in capsys.readouterr().err


def test_who_reads_by_names_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table whose columns were called otherwise: what to do, and no traceback of a name that is not there."""
    create_local_catalog(Profile(os.fspath(tmp_path)))
    ensure_tables(load_pyiceberg(Profile(os.fspath(tmp_path))))
    code = Column("code", "string", "Why", earlier_names=("reason",))
    renamed = tuple(code if one.name == "reason" else one for one in bronze.QUARANTINE.columns)
    monkeypatch.setattr(bronze, "QUARANTINE", replace(bronze.QUARANTINE, columns=renamed))
    assert main(["quarantine", "--warehouse", os.fspath(tmp_path)]) == 2
    assert "run any job of this release first" in capsys.readouterr().err


def test_what_is_refused_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table, the column, why, and what is legal."""
    profile = Profile(os.fspath(tmp_path))
    create_local_catalog(profile)
    ensure_tables(load_pyiceberg(profile))
    _release(monkeypatch, city=Column("city", "date", "City"))
    code, plans = _plan(tmp_path, capsys)
    assert (code, plans["silver.silver_dim_patient"]["action"]) == (3, "refused")
    assert main(["plan", "--warehouse", os.fspath(tmp_path)]) == 3
    assert "REFUSED city is string, declared is date; legal: int to long" in capsys.readouterr().out
