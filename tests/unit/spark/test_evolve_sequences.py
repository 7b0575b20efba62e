"""Whatever legal releases follow one another, every value that was written is read under the name it has today."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.evolve import evolve, plan_tables
from airflow_lakehouse.spark.iceberg import pinned
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables.spec import Column, Partition, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.catalog import Catalog

ID = Column("id", "string", "Its name", required=True)
WIDER = {"int": "long", "decimal(6,2)": "decimal(12,2)", "struct<m:int>": "struct<n:string,m:long>"}
KINDS = ("add", "rename", "widen", "allow_null", "undeclare", "shuffle", "partition", "somebodys", "skip")


@dataclass
class Model:
    """What was declared, and what every row must say.

    :param columns: those declared now, the key first.
    :param rows: rows, by the name a column has today; a column a row was written without is null.
    :param undeclared: columns nobody declares any more, and somebody's own.
    :param pending: columns that were changed since a release was last brought in.
    """

    columns: list[Column] = field(default_factory=lambda: [ID])
    partitions: tuple[Partition, ...] = ()
    rows: list[dict[str, Any]] = field(default_factory=list)
    undeclared: set[str] = field(default_factory=set)
    pending: set[str] = field(default_factory=set)
    made: int = 0

    def table(self) -> Table:
        """Return the declaration."""
        columns = tuple(self.columns)
        return Table("silver_thing", "silver", "one row per thing", columns, ("id",), partitions=self.partitions)

    def name(self) -> str:
        """Return a name that no column has had."""
        self.made += 1
        return f"c{self.made}"

    def renamed(self, old: str, new: str) -> None:
        """Say of every row what it says under the new name."""
        self.rows = [{new if name == old else name: value for name, value in row.items()} for row in self.rows]

    def write(self, catalog: Catalog) -> None:
        """Write one row, with a value in every column that is declared."""
        number = len(self.rows)
        row = {column.name: _value(column, number) for column in self.columns}
        found = catalog.load_table("silver.silver_thing")
        found.append(pa.Table.from_pylist([row], schema=found.schema().as_arrow()))
        self.rows.append(row)


def _value(column: Column, number: int) -> Any:
    from datetime import date
    from decimal import Decimal

    values = {
        "string": f"{column.name}-{number}",
        "int": number,
        "long": 2**40 + number,
        "date": date(2026, 1, 1 + number % 28),
        "decimal(6,2)": Decimal(f"{number}.25"),
        "decimal(12,2)": Decimal(f"10000000{number}.25"),
        "struct<m:int>": {"m": number},
        "struct<n:string,m:long>": {"n": str(number), "m": 2**40 + number},
    }
    return values[column.type]


@contextmanager
def _warehouse() -> Iterator[Catalog]:
    directory = tempfile.mkdtemp(prefix="lakehouse-evolve-")
    try:
        profile = Profile(f"{directory}/warehouse")
        create_local_catalog(profile)
        yield load_pyiceberg(profile)
    finally:
        shutil.rmtree(directory)


def _release(model: Model, kind: str, draw: st.DataObject, catalog: Catalog) -> None:
    """Change the declaration by one thing, where there is something to change."""
    others = [column for column in model.columns if column is not ID]
    if kind == "add":
        type_ = draw.draw(st.sampled_from(["string", "int", "date", "decimal(6,2)", "struct<m:int>"]))
        place = draw.draw(st.integers(1, len(model.columns)))
        model.columns.insert(place, Column(model.name(), type_, "x", required=not model.rows))
    elif kind == "somebodys":
        from pyiceberg.types import StringType

        with catalog.load_table("silver.silver_thing").update_schema() as update:
            update.add_column(name := model.name(), StringType())
        model.undeclared.add(name)
    elif kind == "shuffle":
        model.columns = draw.draw(st.permutations(model.columns))
    elif kind == "partition":
        model.partitions = _partitions(model, draw)
    elif others and kind != "skip":
        _change(model, kind, draw.draw(st.sampled_from(others)))


def _partitions(model: Model, draw: st.DataObject) -> tuple[Partition, ...]:
    legal = [Partition("id", "bucket", 2), Partition("id", "bucket", 3)]
    legal += [Partition(one.name) for one in model.columns if one.type in ("int", "date", "string")]
    legal += [Partition(one.name, "month") for one in model.columns if one.type == "date"]
    chosen = draw.draw(st.lists(st.sampled_from(legal), max_size=2, unique_by=lambda one: one.column))
    return tuple(chosen)


def _change(model: Model, kind: str, column: Column) -> None:
    place = model.columns.index(column)
    is_pending = column.name in model.pending
    if kind == "rename":
        name = model.name()
        model.columns[place] = replace(column, name=name, earlier_names=(column.name, *column.earlier_names))
        model.partitions = tuple(
            replace(one, column=name) if one.column == column.name else one for one in model.partitions
        )
        model.renamed(column.name, name)
        model.pending.add(name)
    elif kind == "widen" and column.type in WIDER:
        model.columns[place] = replace(column, type=WIDER[column.type])
        model.pending.add(column.name)
        if column.type.startswith("struct"):
            for row in model.rows:
                if row.get(column.name):
                    row[column.name] = {"n": None, **row[column.name]}
    elif kind == "allow_null":
        model.columns[place] = replace(column, required=False)
    elif kind == "undeclare" and not is_pending and all(one.column != column.name for one in model.partitions):
        # What was renamed and is declared no more before a warehouse hears of it would keep its earlier name there.
        model.columns.remove(column)
        model.undeclared.add(column.name)


@settings(max_examples=25, deadline=None)
@given(kinds=st.lists(st.tuples(st.sampled_from(KINDS), st.booleans(), st.booleans()), max_size=7), draw=st.data())
def test_no_value_is_lost(kinds: list[tuple[str, bool, bool]], draw: st.DataObject) -> None:
    """After every release: rows and order as declared, nothing left to do, and old snapshots under both sets of names.

    Between releases rows are written or not, and a release may be passed over by the warehouse.
    """
    model = Model()
    with _warehouse() as catalog:
        evolve(catalog, [model.table()])
        for kind, is_brought, is_written in [*kinds, ("skip", True, True)]:
            _release(model, kind, draw, catalog)
            if not is_brought:
                continue
            evolve(catalog, [model.table()])
            model.pending.clear()
            assert [plan.changes for plan in plan_tables(catalog, [model.table()])] == [()]
            if is_written:
                model.write(catalog)
            _check(model, catalog)
        _check_snapshots(catalog)


def _check(model: Model, catalog: Catalog) -> None:
    table = catalog.load_table("silver.silver_thing")
    stored = table.scan().to_arrow().to_pylist()
    assert [name for name in (field.name for field in table.schema().fields) if name not in model.undeclared] == [
        column.name for column in model.columns
    ]
    wanted = [{name: row.get(name) for name in stored[0]} for row in model.rows] if stored else []
    assert sorted(stored, key=lambda row: str(row["id"])) == sorted(wanted, key=lambda row: str(row["id"]))


def _check_snapshots(catalog: Catalog) -> None:
    table = catalog.load_table("silver.silver_thing")
    by_id = {row["id"]: row for row in table.scan().to_arrow().to_pylist()}
    for snapshot in table.snapshots():
        then = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        today = pinned.scan(table, snapshot).to_arrow()
        ids = then["id"].to_pylist()
        assert today["id"].to_pylist() == ids
        assert today.to_pylist() == [by_id[id_] for id_ in ids]
