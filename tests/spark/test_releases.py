"""Releases that change tables which hold rows: nothing is lost, and what was can be read by whoever reads Iceberg."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import TableContractError
from airflow_lakehouse.hooks.partitions import look_at
from airflow_lakehouse.spark.engine.session import open_session
from airflow_lakehouse.spark.evolve import evolve
from airflow_lakehouse.spark.iceberg import load, pinned, schema
from airflow_lakehouse.spark.jobs import UNCHANGED, JobArguments, run_job
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy
from airflow_lakehouse.spark.rollback import roll_back
from airflow_lakehouse.spark.silver import delta, resources
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.spark.transforms.patient import patients
from airflow_lakehouse.tables import Column, Partition, Table, bronze, silver
from tests.spark import helpers
from tests.spark.helpers import write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame, SparkSession

    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.spark.engine.connect_server import Server

pytestmark = pytest.mark.spark

STRICT = MaintenancePolicy(min_input_files=2, max_delete_ratio=0.01, max_stray_deletes=1)
THING = Table(
    name="silver_thing",
    namespace="silver",
    grain="one row per thing",
    columns=(
        Column("id", "string", "Its name", required=True),
        Column("size", "int", "Its size"),
        Column("price", "decimal(10,2)", "Its price"),
        Column("day", "date", "Its day"),
        Column("owner", "struct<kind:string,number:int>", "Whose it is"),
        Column("parts", "array<struct<name:string,weight:int>>", "What it is made of"),
        Column("names", "map<string,string>", "What it is called"),
    ),
    key=("id",),
    partitions=(Partition("id", "bucket", 4),),
)
LATER = replace(
    THING,
    columns=(
        Column("id", "string", "Its name", required=True),
        Column("owner", "struct<since:date,number:long,kind:string>", "Whose it is"),
        Column("extent", "long", "Its extent", earlier_names=("size",)),
        Column("parts", "array<struct<name:string,colour:string,weight:long>>", "What it is made of"),
        Column("price", "decimal(38,2)", "Its price"),
        Column("day", "date", "Its day"),
        Column("seen", "struct<by:string,times:int>", "By whom"),
        Column("names", "map<string,string>", "What it is called"),
    ),
    partitions=(Partition("id", "bucket", 8), Partition("day")),
)


def _release(monkeypatch: pytest.MonkeyPatch, table: Table, **changed: Any) -> None:
    """Declare a table otherwise wherever it is used, until the test ends."""
    known = vars(table)
    for name in ("column_names", "partition_columns"):
        getattr(table, name)
        monkeypatch.delitem(known, name)
    for name, value in changed.items():
        monkeypatch.setitem(known, name, value)


def _all(profile: Profile, table: str, as_of: str | None = None) -> list[dict[str, Any]]:
    return sorted(read_rows(profile, table, as_of=as_of), key=lambda row: json.dumps(row, default=str))


def _patient(number: int, city: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{number}", "address": [{"city": city}], **more}


def _encounter(number: int, status: str) -> dict[str, Any]:
    subject = {"reference": "Patient/p1"}
    return {"resourceType": "Encounter", "id": f"e{number}", "status": status, "subject": subject}


def _patients(profile: Profile) -> dict[str, dict[str, Any]]:
    return {row["patient_id"]: row for row in read_rows(profile, "silver_dim_patient")}


def _declare_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rename, add, drop and reorder in a table of silver; another spec there and in bronze; wider types in bronze."""
    by_name = {column.name: column for column in silver.PATIENT.columns}
    by_name["city"] = Column("town", "string", "Town", earlier_names=("city",))
    columns = [by_name["state"], *(one for name, one in by_name.items() if name not in ("mrn", "state"))]
    columns.insert(4, Column("nickname", "string", "Nickname"))
    _release(monkeypatch, silver.PATIENT, columns=tuple(columns), partitions=(Partition("patient_id", "bucket", 2),))
    _release(monkeypatch, silver.ENCOUNTER, partitions=(Partition("encounter_id", "bucket", 8),))
    _release(monkeypatch, silver.OBSERVATION, partitions=())
    for table in (bronze.PATIENT, bronze.QUARANTINE):
        wider = tuple(
            replace(one, type="long") if one.name in ("source_entry", "entry") else one for one in table.columns
        )
        _release(monkeypatch, table, columns=wider, partitions=(Partition("source_system"), Partition("dt")))

    def transform(rows: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F

        return patients(rows).withColumnRenamed("city", "town").withColumn("nickname", F.lit("nick"))

    first, *others = resources.RESOURCE_TABLES
    monkeypatch.setattr(resources, "RESOURCE_TABLES", (replace(first, transform=transform), *others))


@pytest.mark.thorough
def test_a_pipeline_goes_on_over_a_release(warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old rows and new, updates of old rows, replay, maintenance, and back to before the release."""
    drop = tmp_path / "drop"
    old = (_patient(1, "Old"), _patient(2, "Old"), _encounter(1, "planned"), b'{"resourceType"')
    write_lines(drop / "dt=2026-01-01" / "a.ndjson", *old)
    helpers.load(warehouse, drop, run_id="one")
    before = _all(warehouse, "silver_dim_patient")
    old_reader = load_pyiceberg(warehouse).load_table(silver.PATIENT.identifier)

    with monkeypatch.context() as patch:
        _declare_release(patch)
        new = (_patient(2, "New"), _patient(3, "New"), _encounter(1, "finished"))
        write_lines(drop / "dt=2026-01-02" / "b.ndjson", *new)
        bronze_result, silver_result = helpers.load(warehouse, drop, run_id="two")
        assert bronze_result.tables["bronze_fhir_patient"]["added"] == 2
        assert silver_result.tables["silver_dim_patient"] == {"rows": 3, "added": 1, "updated": 1, "deleted": 0}
        assert silver_result.tables["silver_fct_encounter"] == {"rows": 1, "added": 0, "updated": 1, "deleted": 0}
        rows = _patients(warehouse)
        assert {id_: (row["town"], row["nickname"]) for id_, row in rows.items()} == {
            "p1": ("Old", None),
            "p2": ("New", "nick"),
            "p3": ("New", "nick"),
        }
        assert [name for name in rows["p1"] if name != "mrn"] == list(silver.PATIENT.column_names)
        assert len(read_rows(warehouse, "bronze_fhir_patient")) == 4

        assert _all(warehouse, "silver_dim_patient", "one") == before
        assert sorted(old_reader.scan().to_arrow()["city"].to_pylist()) == ["Old", "Old"]

        replayed = run_job("replay_quarantine", JobArguments(warehouse, run_id="three"))
        assert (replayed.status, replayed.records) == (UNCHANGED, {"tried": 1, "bronze": 0, "quarantine": 1})
        maintained = run_job("maintain", JobArguments(warehouse, policy=STRICT))
        assert "silver_dim_patient" in maintained.tables
        # What was rewritten from the earlier spec now lies beside other small files, and is merged with them once.
        assert UNCHANGED in [run_job("maintain", JobArguments(warehouse, policy=STRICT)).status for _ in range(2)]
        assert _patients(warehouse) == rows

        run_job("bronze_to_silver", JobArguments(warehouse, run_id="four", full=True))
        assert {row["nickname"] for row in read_rows(warehouse, "silver_dim_patient")} == {"nick"}

        roll_back(warehouse, "one")
        assert {row["town"] for row in read_rows(warehouse, "silver_dim_patient")} == {"Old"}
        helpers.load(warehouse, drop, run_id="five")
        assert _patients(warehouse) == rows
        assert len(read_rows(warehouse, "bronze_fhir_patient")) == 4

    # The release before cannot narrow what was widened, and adds nothing of its own beside what it does not know.
    with pytest.raises(TableContractError, match="'entry' is long, declared is int"):
        helpers.load(warehouse, drop, run_id="six")


def test_silver_reads_bronze_of_before_the_release(
    warehouse: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing new is loaded: the column that silver now reads is null in the snapshot it has to read."""
    write_lines(tmp_path / "drop" / "a.ndjson", _patient(1, "Old"))
    helpers.load(warehouse, tmp_path / "drop", run_id="one")
    _release(monkeypatch, bronze.PATIENT, columns=(Column("ward", "string", "Ward"), *bronze.PATIENT.columns))
    _release(monkeypatch, silver.PATIENT, columns=(*silver.PATIENT.columns, Column("ward", "string", "Ward")))

    def transform(rows: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F

        return patients(rows).withColumn("ward", F.coalesce("ward", F.lit("none")))

    first, *others = resources.RESOURCE_TABLES
    monkeypatch.setattr(resources, "RESOURCE_TABLES", (replace(first, transform=transform), *others))
    run_job("bronze_to_silver", JobArguments(warehouse, full=True))
    assert [(row["patient_id"], row["ward"]) for row in read_rows(warehouse, "silver_dim_patient")] == [("p1", "none")]


@pytest.fixture
def spark(warehouse: Profile, engine: Server) -> Iterator[SparkSession]:
    """Return a session on a warehouse without a table."""
    create_local_catalog(warehouse)
    with open_session(warehouse, engine.remote) as spark:
        yield spark


def _thing(id_: str, size: int | None, **more: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "size": size,
        "price": None,
        "day": date(2026, 1, 1),
        "owner": {"kind": "person", "number": size} if size else None,
        "parts": [{"name": "leg", "weight": size}],
        "names": {"en": id_},
        **more,
    }


def _append(catalog: Catalog, *rows: dict[str, Any]) -> int:
    found = catalog.load_table(THING.identifier)
    found.append(pa.Table.from_pylist(list(rows), schema=found.schema().as_arrow()))
    snapshot = found.current_snapshot()
    assert snapshot is not None
    return int(snapshot.snapshot_id)


def _plain(rows: DataFrame) -> list[dict[str, Any]]:
    return sorted((row.asDict(recursive=True) for row in rows.collect()), key=lambda row: str(row["id"]))


def _stored(catalog: Catalog) -> list[dict[str, Any]]:
    found = catalog.load_table(THING.identifier).scan().to_arrow().sort_by("id").to_pylist()
    # Arrow gives a map as pairs.
    return [{**row, "names": dict(row["names"])} for row in found]


def test_engines_agree_over_a_release(warehouse: Profile, spark: SparkSession) -> None:
    """MERGE into files of both specs, and pinned reads over the change; Spark and PyIceberg see one table."""
    from pyspark.sql import functions as F

    catalog = load_pyiceberg(warehouse)
    evolve(catalog, [THING])
    first = _append(catalog, _thing("a", 1), _thing("b", None))
    _append(catalog, _thing("c", 3, day=date(2026, 1, 2)))
    evolve(catalog, [LATER])
    name = schema.qualified(THING)

    now, was = _plain(spark.table(name)), _plain(spark.read.option("versionAsOf", str(first)).table(name))
    assert now == _stored(catalog)
    assert list(now[0]) == list(LATER.column_names)
    assert now[0]["owner"] == {"since": None, "number": 1, "kind": "person"}
    assert now[1]["owner"] is None
    assert now[0]["parts"] == [{"name": "leg", "colour": None, "weight": 1}]
    assert was == [_thing("a", 1), _thing("b", None)]
    assert _plain(pinned.rows(spark, catalog.load_table(THING.identifier), first)) == now[:2]

    changed = spark.table(name).where("id <> 'b'").withColumn("extent", F.lit(2**40))
    changed = changed.withColumn("_operation", F.when(F.col("id") == "a", "update").otherwise("insert"))
    changed = changed.withColumn("id", F.when(F.col("id") == "c", "d").otherwise(F.col("id")))
    changed = load.keep(spark, changed, f"{warehouse.warehouse_uri}/_staging/changed")
    buckets = [row[0] for row in changed.selectExpr("lakehouse.system.bucket(8, id)").distinct().collect()]
    prune = f"lakehouse.system.bucket(8, t.`id`) IN ({', '.join(map(str, buckets))})"
    for _ in range(2):
        load.conform(spark, LATER, changed, prune)
    assert [(row["id"], row["extent"]) for row in _plain(spark.table(name))] == [
        ("a", 2**40),
        ("b", None),
        ("c", 3),
        ("d", 2**40),
    ]
    load.insert_new(spark, LATER, changed.drop("_operation"), prune)
    assert _plain(spark.table(name)) == _stored(catalog)
    assert spark.sql(f"SELECT DISTINCT _partition FROM {name}").count() > 1
    assert spark.table(f"{name}.partitions").count() > 1

    last = _append(catalog, {**_stored(catalog)[1], "id": "e", "names": [("en", "e")]})
    added = delta.added_rows(spark, catalog, LATER, first, last)
    assert added is None, "an update lies in between"
    table = catalog.load_table(THING.identifier)
    finding = look_at(catalog, THING.identifier, {"day": date(2026, 1, 2)})
    assert finding.rows == sum(row["day"] == date(2026, 1, 2) for row in _stored(catalog)) == 2
    assert len(table.specs()) == 2


def test_an_increment_has_the_names_of_today(warehouse: Profile, spark: SparkSession) -> None:
    """Rows that were added before and after a release come as one increment, under the names a job knows."""
    catalog = load_pyiceberg(warehouse)
    evolve(catalog, [THING])
    first = _append(catalog, _thing("a", 1))
    _append(catalog, _thing("b", 2))
    evolve(catalog, [LATER])
    assert delta.added_rows(spark, catalog, LATER, first, first) is not None
    row = {**_stored(catalog)[1], "id": "c", "names": [("en", "c")], "extent": 2**40}
    last = _append(catalog, row)
    added = delta.added_rows(spark, catalog, LATER, first, last)
    assert added is not None
    assert [(row["id"], row["extent"], row["seen"]) for row in _plain(added)] == [("b", 2, None), ("c", 2**40, None)]
