"""Tables that exist become what is declared, in their metadata alone; a real catalog, no engine."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from airflow_lakehouse.exceptions import TableContractError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.catalog import create_local_catalog, load_pyiceberg
from airflow_lakehouse.spark.create import create_table
from airflow_lakehouse.spark.evolve import evolve
from airflow_lakehouse.tables import silver
from airflow_lakehouse.tables.spec import Column, Table

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.catalog import Catalog

TABLE = Table(
    name="silver_thing",
    namespace="silver",
    grain="one row per thing",
    columns=(
        Column("id", "string", "Its name", required=True),
        Column("size", "int", "Its size", required=True),
        Column("price", "decimal(10,2)", "Its price"),
    ),
    key=("id",),
)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a catalog in which the table has one row."""
    profile = Profile(os.fspath(tmp_path / "warehouse"))
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    create_table(catalog, TABLE)
    found = catalog.load_table(TABLE.identifier)
    found.append(pa.Table.from_pylist([{"id": "a", "size": 1, "price": None}], schema=found.schema().as_arrow()))
    return catalog


def test_a_new_column_rewrites_nothing(catalog: Catalog) -> None:
    """A new column is null in the rows that are there; files and snapshot stay, and a second look does nothing."""
    columns = (*TABLE.columns, Column("seen", silver.REFERENCE, "By whom"), silver.CODINGS)
    wanted = replace(TABLE, columns=columns)
    before = catalog.load_table(TABLE.identifier)
    assert evolve(catalog, [wanted, wanted]) == ["silver.silver_thing.seen", "silver.silver_thing.codings"]
    after = catalog.load_table(TABLE.identifier)
    assert after.scan().to_arrow().to_pylist() == [{"id": "a", "size": 1, "price": None, "seen": None, "codings": None}]
    assert after.current_snapshot() == before.current_snapshot()
    assert after.schema().find_field("seen").doc == "By whom"
    assert evolve(catalog, [wanted]) == []
    assert before.scan().to_arrow().num_rows == 1


def test_types_widen_and_nulls_become_legal(catalog: Catalog) -> None:
    """An int becomes a long, a decimal wider, a required column optional; a column nobody declares any more stays."""
    wider = (Column("id", "string", "Its name", required=True), Column("size", "long", "Its size"))
    price = Column("price", "decimal(38,2)", "Its price")
    assert evolve(catalog, [replace(TABLE, columns=(*wider, price))]) == [
        "silver.silver_thing.size",
        "silver.silver_thing.price",
    ]
    assert evolve(catalog, [replace(TABLE, columns=wider)]) == []
    fields = {field.name: field for field in catalog.load_table(TABLE.identifier).schema().fields}
    assert (str(fields["size"].field_type), fields["size"].required) == ("long", False)
    assert str(fields["price"].field_type) == "decimal(38, 2)"


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (Column("size", "string", "Its size"), "'size'.*is int, declared is string"),
        (Column("price", "decimal(9,2)", "Its price"), r"'price'.*is decimal\(10, 2\), declared is decimal\(9, 2\)"),
        (Column("owner", "string", "Whose", required=True), "lacks the required column 'owner', and has rows"),
    ],
)
def test_what_would_touch_rows_is_refused(catalog: Catalog, column: Column, told: str) -> None:
    """A type that cannot widen, and a required column that the rows lack, are errors that name the column."""
    others = tuple(one for one in TABLE.columns if one.name != column.name)
    with pytest.raises(TableContractError, match=told):
        evolve(catalog, [replace(TABLE, columns=(*others, column))])
