"""The state of real tables, from their metadata; a real catalog, no engine."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from airflow_lakehouse.cli import main
from airflow_lakehouse.exceptions import TableNotFoundError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.iceberg import load
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.maintenance.history import expirable, history_of, needed_by_consumers
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.maintenance.storage import orphans_of
from airflow_lakehouse.spark.maintenance.survey import survey, warehouse_health
from airflow_lakehouse.spark.silver import delta
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.files import local_path
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables.spec import Column, Partition, Table
from tests.rewrites import rewrite

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table as IcebergTable

SOURCE = Table(
    name="bronze_thing",
    namespace="bronze",
    grain="one row per thing",
    columns=(Column("id", "string", "Its name"), Column("dt", "date", "Its day")),
    key=("id",),
    partitions=(Partition("dt"),),
)
TARGET = Table(
    name="silver_thing",
    namespace="silver",
    grain="one row per thing",
    columns=(Column("id", "string", "Its name"),),
    key=("id",),
    reads=(SOURCE.name,),
)
WEEK_OLD = (datetime.now(UTC) - timedelta(days=7)).timestamp()


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """Return a warehouse with both tables: the source has five files in one day and one in another."""
    profile = Profile(os.fspath(tmp_path / "warehouse"))
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    for table in (SOURCE, TARGET):
        create_table(catalog, table)
    for number in range(6):
        _append(catalog, SOURCE, {"id": str(number), "dt": date(2026, 1, 1 + number // 5)})
    return profile


@pytest.fixture
def catalog(profile: Profile) -> Catalog:
    """Return the catalog of the warehouse."""
    return load_pyiceberg(profile)


def _append(catalog: Catalog, table: Table, row: dict[str, object], **properties: str) -> int:
    found = catalog.load_table(table.identifier)
    rows = pa.Table.from_pylist([row], schema=found.schema().as_arrow())
    found.append(rows, snapshot_properties=properties)
    snapshot = found.current_snapshot()
    assert snapshot
    return snapshot.snapshot_id


def _ids(table: IcebergTable) -> list[int]:
    return [snapshot.snapshot_id for snapshot in table.snapshots()]


def test_small_files_are_counted_where_they_lie(catalog: Catalog) -> None:
    """Six small files, five of which could be one; the sixth is alone in its partition and no compaction helps it."""
    source, target = warehouse_health(catalog)
    assert (source.identifier, source.data_files, source.small_files, source.records) == (SOURCE.identifier, 6, 6, 6)
    assert (source.small_by_partition, source.small_share) == ((5, 1), 1.0)
    assert (source.snapshots, source.manifests, source.spare_manifests) == (6, 6, 5)
    assert source.metadata_bytes > sum(manifest.manifest_length for manifest in _manifests(catalog))
    assert (source.last_compaction, source.orphans) == (None, None)
    assert (target.data_files, target.snapshots, target.small_share, target.delete_ratio) == (0, 0, 0.0, 0.0)


def _manifests(catalog: Catalog) -> list[ManifestFile]:
    table = catalog.load_table(SOURCE.identifier)
    snapshot = table.current_snapshot()
    assert snapshot
    return list(snapshot.manifests(table.io))


def test_orphans_are_old_and_named_by_nothing(catalog: Catalog, tmp_path: Path) -> None:
    """Neither live files, nor those of former snapshots, nor young or hidden ones, nor another table's are orphans."""
    table = catalog.load_table(SOURCE.identifier)
    folder = local_path(table.location())
    assert folder
    data = next(folder.rglob("*.parquet")).parent
    for name in ("stray.parquet", ".stray.parquet.crc", "young.parquet", "inner/theirs.parquet"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_bytes(b"x" * 10)
    for path in folder.rglob("*"):
        os.utime(path, (WEEK_OLD, WEEK_OLD))
    now = time.time()
    os.utime(data / "young.parquet", (now, now))
    found = orphans_of(table, 3, [f"file:{data}/inner", table.location()])
    assert [file.uri for file in found.found] == [f"file://{data}/stray.parquet"]
    assert (found.files, found.bytes) == (1, 10)
    assert found.stored_bytes == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) - 10
    assert orphans_of(table, 8, ()).files == 0


def test_a_consumer_keeps_what_it_has_seen(catalog: Catalog) -> None:
    """The source keeps the snapshot the target's watermark names; the target the commit that carries it."""
    source = catalog.load_table(SOURCE.identifier)
    seen = _ids(source)[2]
    stamped = delta.Watermark({SOURCE.name: str(seen), "bronze_gone": "1", "bronze_empty": "none"}, "0").properties()
    carrier = _append(catalog, TARGET, {"id": "a"}, **{f"lakehouse.{name}": value for name, value in stamped.items()})
    later = [_append(catalog, TARGET, {"id": str(number)}) for number in range(4)]
    tables = {table.identifier: catalog.load_table(table.identifier) for table in (SOURCE, TARGET)}
    needed = needed_by_consumers(tables)
    assert needed == {SOURCE.identifier: {seen}, TARGET.identifier: {carrier}}

    strict = MaintenancePolicy(snapshot_days=0, keep_snapshots=1)
    now = datetime.now(UTC) + timedelta(days=1)
    going = {
        name: [one.id for one in expirable(history_of(table), needed[name], strict, now)]
        for name, table in tables.items()
    }
    assert going == {SOURCE.identifier: _ids(source)[:2], TARGET.identifier: []}
    assert [one.id for one in expirable(history_of(tables[TARGET.identifier]), frozenset(), strict, now)] == [
        carrier,
        *later[:-1],
    ]


def test_a_tag_keeps_its_snapshot(catalog: Catalog) -> None:
    """A tag made by anybody is honoured, with its own retention."""
    table = catalog.load_table(SOURCE.identifier)
    first, second, *_ = _ids(table)
    with table.manage_snapshots() as change:
        change.create_tag(first, "audit").create_tag(second, "short", max_ref_age_ms=1)
    policy = MaintenancePolicy(snapshot_days=0, keep_snapshots=1)
    now = datetime.now(UTC) + timedelta(days=1)
    going = [one.id for one in expirable(history_of(table.refresh()), frozenset(), policy, now)]
    assert going == _ids(table)[1:-1]


def test_what_is_due_is_told_without_doing_it(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    """The dry run names steps and reasons, leaves the table as it is, and exits 0; a wrong policy exits 2."""
    before = _ids(load_pyiceberg(profile).load_table(SOURCE.identifier))
    assert main(["maintain", "--warehouse", profile.warehouse, "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "due"
    (step,) = told["steps"]
    assert (step["table"], step["action"]) == (SOURCE.identifier, "rewrite_data_files")
    assert "5 of 6 data files are small" in step["reason"]
    assert _ids(load_pyiceberg(profile).load_table(SOURCE.identifier)) == before

    quiet = ["maintain", "--warehouse", profile.warehouse, "--set", "min_input_files=6"]
    assert main([*quiet, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out) == {"status": "unchanged", "steps": []}
    assert main([*quiet, "--set", "tables=bronze_thong"]) == 2
    assert main(["maintain", "--warehouse", profile.warehouse, "--set", "snapshots=1"]) == 2


def test_nothing_due_starts_nothing(
    profile: Profile, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is due the job itself does without Spark: here there is none it could find."""
    monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", "sc://127.0.0.1:1")
    assert main(["maintain", "--warehouse", profile.warehouse, "--set", "min_input_files=6"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["steps"], told["tables"]) == ("unchanged", [], {})


def test_health_is_printed(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    """As a table for people and as an array for programs; orphans only where they were asked for."""
    assert main(["health", "--warehouse", profile.warehouse]) == 0
    assert SOURCE.identifier in capsys.readouterr().out
    assert main(["health", "--warehouse", profile.warehouse, "--orphans", "--json"]) == 0
    source, target = json.loads(capsys.readouterr().out)
    assert (source["name"], source["small_files"], source["orphans"]["files"]) == (SOURCE.name, 6, 0)
    assert source["orphans"]["stored_files"] > 18
    assert target["snapshots"] == 0
    assert main(["health", "--warehouse", f"{profile.warehouse}/none"]) == 2


def test_a_table_that_is_not_there_is_an_error(catalog: Catalog) -> None:
    """A typing error in a policy must not pass for a table in good health."""
    with pytest.raises(TableNotFoundError, match=r"Legal: bronze\.bronze_thing"):
        survey(catalog, MaintenancePolicy(tables=("bronze_thong",)))


def test_a_compaction_at_the_same_time_adds_nothing(catalog: Catalog) -> None:
    """Rows that somebody's compaction has moved do not count as rows a run has added."""
    table = catalog.load_table(SOURCE.identifier)
    before = load.snapshot_id(catalog, SOURCE)
    first = next(iter(table.scan().plan_files())).file
    rewrite(table, [first], [first])
    (health, _) = warehouse_health(catalog)
    assert health.last_compaction is not None
    _append(catalog, SOURCE, {"id": "new", "dt": date(2026, 1, 1)})
    assert load.added_since(catalog, SOURCE, before) == 1
