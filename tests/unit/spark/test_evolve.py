"""Tables that exist become what is declared, in their metadata alone; a real catalog, no engine."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from airflow_lakehouse.exceptions import TableContractError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.evolve import TablePlan, evolve, plan_tables
from airflow_lakehouse.spark.iceberg import declared, pinned
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables.spec import Column, Partition, Table

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable

ID = Column("id", "string", "Its name", required=True)
SIZE = Column("size", "int", "Its size", required=True)
PRICE = Column("price", "decimal(10,2)", "Its price")
DAY = Column("day", "date", "Its day")
PARTS = Column("parts", "array<struct<name:string,weight:int>>", "What it is made of")
OWNER = Column("owner", "struct<kind:string,name:string>", "Whose it is")
TABLE = Table(
    name="silver_thing",
    namespace="silver",
    grain="one row per thing",
    columns=(ID, SIZE, PRICE, DAY, PARTS, OWNER),
    key=("id",),
    partitions=(Partition("id", "bucket", 4),),
)
ROW: dict[str, Any] = {
    "id": "a",
    "size": 1,
    "price": None,
    "day": None,
    "parts": [{"name": "leg", "weight": 7}],
    "owner": {"kind": "person", "name": "x"},
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a catalog in which the table has one row."""
    profile = Profile(os.fspath(tmp_path / "warehouse"))
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    create_table(catalog, TABLE)
    append(catalog, ROW)
    return catalog


def append(catalog: Catalog, row: dict[str, Any]) -> None:
    """Write a row as a job would."""
    found = at(catalog)
    found.append(pa.Table.from_pylist([row], schema=found.schema().as_arrow()))


def at(catalog: Catalog) -> IcebergTable:
    """Return the table as it is."""
    return catalog.load_table(TABLE.identifier)


def rows(catalog: Catalog) -> list[dict[str, Any]]:
    """Return all rows, by id."""
    found: list[dict[str, Any]] = at(catalog).scan().to_arrow().sort_by("id").to_pylist()
    return found


def having(*columns: Column, **other: Any) -> Table:
    """Return the table with these columns in place of those of the same name, and the others behind."""
    given = {column.name: column for column in columns}
    gone = {name for column in columns for name in column.earlier_names}
    kept = [given.pop(one.name, one) for one in TABLE.columns if one.name not in gone]
    return replace(TABLE, columns=(*kept, *given.values()), **other)


def changes(plans: list[TablePlan]) -> list[tuple[str, str]]:
    """Return kind and name of every change."""
    return [(change.kind, change.name) for plan in plans for change in plan.changes]


def test_a_new_column_rewrites_nothing(catalog: Catalog) -> None:
    """A new column is null in the rows that are there; files and snapshot stay, and a second look does nothing."""
    wanted = having(Column("seen", "struct<by:string,times:int>", "By whom"), Column("tags", "array<string>", "Tags"))
    before = at(catalog)
    assert changes(evolve(catalog, [wanted, wanted])) == [("add", "seen"), ("add", "tags")]
    after = at(catalog)
    assert rows(catalog) == [{**ROW, "seen": None, "tags": None}]
    assert after.current_snapshot() == before.current_snapshot()
    assert after.schema().find_field("seen").doc == "By whom"
    assert evolve(catalog, [wanted]) == []
    assert at(catalog).metadata_location == after.metadata_location
    assert before.scan().to_arrow().to_pylist() == [ROW]


def test_types_widen_and_nulls_become_legal(catalog: Catalog) -> None:
    """An int becomes a long and a decimal wider, in structs too; a required column optional."""
    parts = replace(PARTS, type="array<struct<name:string,weight:long>>")
    size, price = Column("size", "long", "Its size"), replace(PRICE, type="decimal(38,2)")
    assert changes(evolve(catalog, [having(size, price, parts)])) == [
        ("allow_null", "size"),
        ("widen", "size"),
        ("widen", "price"),
        ("widen", "parts.element.weight"),
    ]
    fields = {field.name: field for field in at(catalog).schema().fields}
    assert (str(fields["size"].field_type), fields["size"].required) == ("long", False)
    append(catalog, {**ROW, "id": "b", "size": None, "parts": [{"name": "leg", "weight": 2**40}]})
    assert [row["parts"][0]["weight"] for row in rows(catalog)] == [7, 2**40]


def test_a_column_nobody_declares_stays(catalog: Catalog) -> None:
    """Somebody's own column and one of a former release keep place and values; the latter no longer blocks writes."""
    with at(catalog).update_schema() as update:
        from pyiceberg.types import StringType

        update.add_column("note", StringType())
    with at(catalog).update_schema() as update:
        update.move_first("note")
    wanted = replace(TABLE, columns=tuple(one for one in TABLE.columns if one is not SIZE))
    (plan,) = plan_tables(catalog, [wanted])
    assert plan.left_alone == ("column note: not declared", "column size: not declared")
    assert changes(evolve(catalog, [wanted])) == [("allow_null", "size")]
    append(catalog, {**ROW, "id": "b", "size": None})
    assert [list(row)[:3] for row in rows(catalog)] == [["note", "id", "size"]] * 2
    assert [row["size"] for row in rows(catalog)] == [1, None]


def test_a_renamed_column_keeps_its_values(catalog: Catalog) -> None:
    """Files written under the old name are read under the new one, also widened; old snapshots keep the old name."""
    before = at(catalog)
    with before.transaction() as change:
        change.set_properties({"write.metadata.metrics.column.size": "full"})
    extent = Column("extent", "long", "Its extent", required=True, earlier_names=("length", "size"))
    wanted = having(extent)
    assert changes(evolve(catalog, [wanted])) == [
        ("rename", "extent"),
        ("widen", "extent"),
        ("reorder", "extent"),
        ("set_property", "write.metadata.metrics.column.extent"),
        ("unset_property", "write.metadata.metrics.column.size"),
    ]
    append(catalog, {**{name: ROW[name] for name in ROW if name != "size"}, "id": "b", "extent": 2**40})
    assert [row["extent"] for row in rows(catalog)] == [1, 2**40]
    assert list(rows(catalog)[0]) == list(wanted.column_names)
    assert evolve(catalog, [wanted]) == []
    snapshot = before.current_snapshot()
    assert snapshot is not None
    assert at(catalog).scan(snapshot_id=snapshot.snapshot_id).to_arrow().to_pylist() == [ROW]
    assert before.scan().to_arrow().to_pylist() == [ROW]
    # A job reads the old snapshot under the name it knows.
    assert [row["extent"] for row in pinned.scan(at(catalog), snapshot).to_arrow().to_pylist()] == [1]


def test_a_key_and_a_partition_column_can_be_renamed(catalog: Catalog) -> None:
    """The partition field goes on under its name: files of before and after are of one spec, and pruned alike."""
    thing = replace(ID, name="thing_id", earlier_names=("id",))
    columns, partitions = (thing, *TABLE.columns[1:]), (Partition("thing_id", "bucket", 4),)
    wanted = replace(TABLE, columns=columns, key=("thing_id",), partitions=partitions)
    assert changes(evolve(catalog, [wanted])) == [("rename", "thing_id")]
    assert evolve(catalog, [wanted]) == []
    assert [field.name for field in at(catalog).spec().fields] == ["id_bucket"]
    row = {**{name: ROW[name] for name in ROW if name != "id"}, "thing_id": "b"}
    append(catalog, row)
    found = at(catalog).scan(row_filter="thing_id = 'b'")
    assert len(list(found.plan_files())) == 1
    assert found.to_arrow()["thing_id"].to_pylist() == ["b"]


def test_columns_and_members_come_in_the_declared_order(catalog: Catalog) -> None:
    """What is declared in another order is moved; a new one comes where it is declared, and values stay with names."""
    columns = (DAY, ID, Column("colour", "string", "Its colour"), PRICE, SIZE)
    parts = replace(PARTS, type="array<struct<weight:int,colour:string,name:string>>")
    owner = replace(OWNER, type="struct<since:date,name:string,kind:string>")
    wanted = replace(TABLE, columns=(*columns, parts, owner))
    plans = evolve(catalog, [wanted])
    assert ("add", "parts.element.colour") in changes(plans)
    assert ("reorder", "day, price") in changes(plans)
    (row,) = rows(catalog)
    assert list(row) == list(wanted.column_names)
    assert list(row["parts"][0].items()) == [("weight", 7), ("colour", None), ("name", "leg")]
    assert list(row["owner"].items()) == [("since", None), ("name", "x"), ("kind", "person")]
    assert evolve(catalog, [wanted]) == []
    turned = replace(
        wanted, columns=(*wanted.columns[:-1], replace(owner, type="struct<name:string,kind:string,since:date>"))
    )
    assert changes(evolve(catalog, [turned])) == [("reorder", "owner.since")]
    assert list(rows(catalog)[0]["owner"]) == ["name", "kind", "since"]


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (replace(SIZE, type="string"), "'size' is int, declared is string.*int to long"),
        (replace(PRICE, type="decimal(9,2)"), r"'price' is decimal\(10, 2\), declared is decimal\(9, 2\)"),
        # PyIceberg would promote these two: a decimal of another scale is then read a hundred times too small.
        (replace(PRICE, type="decimal(12,4)"), r"'price' is decimal\(10, 2\), declared is decimal\(12, 4\)"),
        (replace(ID, type="binary"), "'id' is string, declared is binary"),
        (replace(PRICE, required=True), "'price' may be null, and is declared required"),
        (Column("seller", "string", "Whose", required=True), "'seller' is declared required and is not there"),
        (replace(OWNER, type="struct<kind:string>"), "'owner.name' is a member the declaration lacks"),
        (replace(PARTS, type="array<struct<name:long,weight:int>>"), "'parts.element.name' is string"),
        (replace(OWNER, type="string"), "'owner' is struct<.*>, declared is string"),
    ],
)
def test_what_would_touch_rows_is_refused(catalog: Catalog, column: Column, told: str) -> None:
    """A type that cannot widen, what the rows lack or could lack: an error that names the column and what is legal."""
    before = at(catalog).metadata_location
    with pytest.raises(TableContractError, match=told):
        evolve(catalog, [having(column)])
    assert at(catalog).metadata_location == before


def test_an_empty_table_can_become_stricter(catalog: Catalog) -> None:
    """Where no snapshot ever had a row, a column may become required, and a required one may be added."""
    catalog.drop_table(TABLE.identifier)
    create_table(catalog, TABLE)
    seller = Column("seller", "string", "Whose", required=True)
    assert changes(evolve(catalog, [having(replace(PRICE, required=True), seller)])) == [
        ("require", "price"),
        ("add", "seller"),
    ]


def test_what_a_column_was_must_be_clear(catalog: Catalog) -> None:
    """Two columns that could be the one meant, and names apart in capitals alone, are refused and not guessed at."""
    from pyiceberg.types import StringType

    with at(catalog).update_schema() as update:
        update.add_column("Colour", StringType())
    two = having(Column("extent", "int", "Its extent", earlier_names=("size", "price")))
    with pytest.raises(TableContractError, match=r"'extent' and 'price'.*are both columns.*ALTER TABLE"):
        evolve(catalog, [two])
    both = replace(TABLE, columns=(ID, replace(SIZE, earlier_names=("price",)), DAY, PARTS, OWNER))
    with pytest.raises(TableContractError, match="'size' and 'price'"):
        evolve(catalog, [both])
    with pytest.raises(TableContractError, match="'colour' differs from column 'Colour'"):
        evolve(catalog, [having(Column("colour", "string", "Its colour"))])
    with at(catalog).update_schema() as update:
        update.add_column("Price", StringType())
    with pytest.raises(TableContractError, match="'price' differs from column 'Price'"):
        evolve(catalog, [TABLE])


def test_an_identifier_field_is_never_null(catalog: Catalog) -> None:
    """Somebody has made a column one of Iceberg's identifier fields: other engines could not open the table."""
    with at(catalog).update_schema() as update:
        update.set_identifier_fields("id", "size")
    assert evolve(catalog, [TABLE]) == []
    with pytest.raises(TableContractError, match="'size' is one of the table's identifier fields"):
        evolve(catalog, [having(replace(SIZE, required=False))])


def test_nothing_is_written_where_one_table_is_refused(catalog: Catalog) -> None:
    """A legal change, and a table that is missing, wait for the illegal change of the last table."""
    other = replace(TABLE, name="silver_other")
    missing = replace(TABLE, name="silver_missing")
    create_table(catalog, other)
    before = {name: catalog.load_table(name).metadata_location for name in (TABLE.identifier, other.identifier)}
    legal = having(replace(SIZE, type="long"))
    illegal = [replace(other, columns=(ID, replace(SIZE, type="string")), name="silver_other")]
    illegal.append(replace(illegal[0], name="silver_thing"))
    with pytest.raises(TableContractError, match=r"silver_other: 'size'.*silver_thing: 'size'"):
        evolve(catalog, [*illegal])
    with pytest.raises(TableContractError, match="silver_other"):
        evolve(catalog, [missing, legal, illegal[0]])
    assert not catalog.table_exists(missing.identifier)
    assert {name: catalog.load_table(name).metadata_location for name in before} == before
    planned = plan_tables(catalog, [missing, legal, illegal[0]])
    assert [plan.action for plan in planned] == ["create", "change", "refused"]


def test_a_partition_spec_changes_for_files_to_come(catalog: Catalog) -> None:
    """Another width, a field more, a field less and one that comes back: every file keeps its spec and is found."""
    wider = replace(TABLE, partitions=(Partition("id", "bucket", 8), Partition("day")))
    assert changes(evolve(catalog, [wider])) == [
        ("drop_partition", "id_bucket"),
        ("add_partition", "id_bucket_8"),
        ("add_partition", "day"),
    ]
    append(catalog, {**ROW, "id": "b"})
    assert changes(evolve(catalog, [replace(TABLE, partitions=())])) == [
        ("drop_partition", "id_bucket_8"),
        ("drop_partition", "day"),
    ]
    append(catalog, {**ROW, "id": "c"})
    # The field of before is the same field, by its id: https://iceberg.apache.org/spec/#partition-evolution.
    assert changes(evolve(catalog, [TABLE])) == [("add_partition", "id_bucket")]
    assert [(field.field_id, field.name) for field in at(catalog).spec().fields] == [(1000, "id_bucket")]
    append(catalog, {**ROW, "id": "d"})
    monthly = replace(TABLE, partitions=(Partition("day", "month"), Partition("id", "bucket", 4)))
    assert changes(evolve(catalog, [monthly])) == [("add_partition", "day_month")]
    assert evolve(catalog, [monthly]) == []
    names = [field.name for spec in at(catalog).specs().values() for field in spec.fields]
    ids = {field.field_id: field.name for spec in at(catalog).specs().values() for field in spec.fields}
    assert sorted(set(names)) == sorted(ids.values())
    assert [row["id"] for row in rows(catalog)] == ["a", "b", "c", "d"]
    for id_ in "abcd":
        assert at(catalog).scan(row_filter=f"id = '{id_}'").to_arrow()["id"].to_pylist() == [id_]


def test_somebodys_partition_spec_stays(catalog: Catalog) -> None:
    """A spec that somebody has set is left alone and told; back at ours, the release changes it again."""
    with at(catalog).update_spec() as update:
        update.add_identity("day")
    wider = replace(TABLE, partitions=(Partition("id", "bucket", 8),))
    (plan,) = plan_tables(catalog, [wider])
    assert (plan.action, plan.left_alone) == (
        "none",
        ("partition spec: set by somebody to bucket[4] of id, identity of day",),
    )
    assert evolve(catalog, [wider]) == []
    with at(catalog).update_spec() as update:
        update.remove_field("day")
    assert changes(evolve(catalog, [wider])) == [("drop_partition", "id_bucket"), ("add_partition", "id_bucket_8")]
    with at(catalog).update_spec() as update:
        update.add_identity("day")
    assert evolve(catalog, [TABLE]) == []


def test_properties_change_unless_somebody_has_set_them(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a release set, the next may change; what somebody has set or taken away stays, and the plan says so."""
    ours = declared.properties(TABLE)
    with at(catalog).transaction() as change:
        change.set_properties({"write.target-file-size-bytes": "1000", "own": "x"})
        change.remove_properties("commit.retry.num-retries")
    release = {**ours, "write.target-file-size-bytes": "5", "comment": "new", "added": "1"}
    del release["write.metadata.previous-versions-max"]
    monkeypatch.setattr(declared, "properties", lambda _: release)
    (plan,) = evolve(catalog, [TABLE])
    assert changes([plan]) == [
        ("set_property", "added"),
        ("set_property", "comment"),
        ("unset_property", "write.metadata.previous-versions-max"),
    ]
    assert sorted(plan.left_alone) == [
        "property commit.retry.num-retries: taken away by somebody",
        "property write.target-file-size-bytes: set by somebody to 1000",
    ]
    found = at(catalog).properties
    assert {name: found.get(name) for name in ("added", "comment", "own", "write.target-file-size-bytes")} == {
        "added": "1",
        "comment": "new",
        "own": "x",
        "write.target-file-size-bytes": "1000",
    }
    assert evolve(catalog, [TABLE]) == []
    release["comment"] = "newer"
    assert changes(evolve(catalog, [TABLE])) == [("set_property", "comment")]


def test_a_note_that_cannot_be_read_makes_every_setting_somebodys(catalog: Catalog) -> None:
    """A note somebody wrote over is no licence to override; the columns evolve all the same."""
    for text in ("", "[]", "not json", json.dumps({"properties": [], "spec_id": 0}), json.dumps({"spec_id": "x"})):
        with at(catalog).transaction() as change:
            change.set_properties({declared.NOTE: text, "comment": "mine"})
        assert plan_tables(catalog, [TABLE])[0].left_alone == ("property comment: set by somebody to mine",)
    assert changes(evolve(catalog, [having(replace(SIZE, type="long"))])) == [("widen", "size")]


def test_two_processes_may_bring_in_one_release(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is second finds what is left to do, on a table that changes and on one that is made."""
    from airflow_lakehouse.spark.evolve import plan

    other = replace(TABLE, name="silver_other")
    wanted = [having(replace(SIZE, type="long")), other]
    check = plan._check

    def and_meanwhile(plans: list[TablePlan]) -> None:
        monkeypatch.setattr(plan, "_check", check)
        check(plans)
        evolve(load_pyiceberg(Profile(catalog.properties["warehouse"].removeprefix("file://"))), wanted)

    monkeypatch.setattr(plan, "_check", and_meanwhile)
    evolve(catalog, wanted)
    assert evolve(catalog, wanted) == []
    assert len(at(catalog).schemas()) == 2
