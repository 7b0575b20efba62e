"""The definitions of all tables."""

from __future__ import annotations

import pytest

from airflow_lakehouse.exceptions import TableContractError, TableNotFoundError
from airflow_lakehouse.spark.iceberg import create, schema
from airflow_lakehouse.tables import ALL, Column, Keep, Partition, Table, bronze, by_name, silver


def test_every_table_reads_tables_stated_before_it() -> None:
    """The order of the catalogue is an order in which the tables can be built."""
    seen: set[str] = set()
    for table in ALL:
        assert set(table.reads) <= seen
        seen.add(table.name)


def test_every_bronze_table_says_where_its_rows_came_from() -> None:
    """No bronze row is without its file, that file's version, its day, its sender, its batch and its time."""
    wanted = {"source_uri", "source_etag", "dt", "source_system", "batch_id", "ingested_at"}
    for table in bronze.TABLES:
        assert wanted <= set(table.column_names), table.name


def test_every_silver_key_is_led_by_the_source_system() -> None:
    """Two hospitals with the same ids never collide."""
    assert all(table.key[0] == "source_system" for table in silver.TABLES)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_a_table_becomes_iceberg(table: Table) -> None:
    """Every definition has an Iceberg schema with the same columns, and a partition spec over them."""
    fields = create.iceberg_schema(table)
    assert tuple(field.name for field in fields.fields) == table.column_names
    assert len(create.partition_spec(table, fields).fields) == len(table.partitions)
    assert {field.name for field in fields.fields if field.required} == {c.name for c in table.columns if c.required}


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_no_merge_is_insert_only(table: Table) -> None:
    """Every rendered MERGE has a WHEN MATCHED clause: without one Spark appends, and two runs would both commit."""
    for statement in (schema.insert_new_statement(table, "s"), schema.conform_statement(table, "s")):
        assert "WHEN MATCHED" in statement
        assert all(f"t.`{name}` = s.`{name}`" in statement for name in table.key)


def test_a_partition_predicate_has_literals_and_knows_null() -> None:
    """Rows without a day are looked for where they are."""
    assert schema.any_of("dt", {"DATE '2026-01-01'", None}) == "(t.`dt` IN (DATE '2026-01-01') OR t.`dt` IS NULL)"


def _renamed(*earlier: tuple[str, ...]) -> Table:
    names = zip("ab", earlier, strict=True)
    columns = tuple(Column(name, "int", "x", earlier_names=former) for name, former in names)
    return Table("bronze_x", "bronze", "one row per x", columns, ("a",))


def _partitioned(type_: str, partition: Partition, *more: Column, partitions: tuple[Partition, ...] = ()) -> Table:
    columns = (Column("a", type_, "x"), *more)
    return Table("bronze_x", "bronze", "one row per x", columns, ("a",), partitions=(partition, *partitions))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Column("Name", "string", "x"),
        lambda: Column("name", "varchar", "x"),
        lambda: Column("name", "string", ""),
        lambda: Partition("a", "bucket"),
        lambda: Keep(("ingested_at",)),
        lambda: Table("silver_x", "bronze", "one row per x", (Column("a", "int", "a"),), ("a",)),
        lambda: Table("bronze_x", "bronze", "rows", (Column("a", "int", "a"),), ("a",)),
        lambda: Table("bronze_x", "bronze", "one row per x", (Column("a", "int", "a"),), ("b",)),
        lambda: Table("bronze_x", "bronze", "one row per x", (Column("a", "int", "a"),) * 2, ("a",)),
        lambda: Column("name", "string", "x", earlier_names="was"),  # type: ignore[arg-type] # what is refused
        lambda: _renamed(("a",), ()),
        lambda: _renamed(("b",), ()),
        lambda: _renamed(("old",), ("old",)),
        lambda: _renamed(("old", "old"), ()),
        lambda: _partitioned("boolean", Partition("a", "bucket", 2)),
        lambda: _partitioned("string", Partition("a", "day")),
        lambda: _partitioned("array<string>", Partition("a")),
        lambda: _partitioned("date", Partition("a", "day"), Column("a_day", "int", "x")),
        lambda: _partitioned("int", Partition("a", "bucket", 2), partitions=(Partition("a", "bucket", 4),)),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused(wrong: object) -> None:
    """A wrong name, type, order, grain or key fails where it is written."""
    assert callable(wrong)
    with pytest.raises(TableContractError):
        wrong()


def test_an_unknown_table_is_named_with_the_known_ones() -> None:
    """The error lists what there is."""
    with pytest.raises(TableNotFoundError, match="silver_dim_patient"):
        by_name("silver_dim_patients")
