"""dbt's sources are the table definitions, and nothing else."""

from __future__ import annotations

import yaml

from airflow_lakehouse.dbt.sources import SOURCE_TABLES, SOURCES_FILE, render_sources
from airflow_lakehouse.resources import resource_dir


def test_committed_sources_are_current() -> None:
    """A change of a table without a new sources file would let dbt read columns that are gone."""
    assert (resource_dir("dbt_example") / SOURCES_FILE).read_text(encoding="utf-8") == render_sources()


def test_every_table_and_column_is_declared() -> None:
    """The file is valid YAML and holds each table with its columns in order."""
    rendered = yaml.safe_load(render_sources())
    declared = {
        table["name"]: [column["name"] for column in table["columns"]]
        for source in rendered["sources"]
        for table in source["tables"]
    }
    assert declared == {table.name: list(table.column_names) for table in SOURCE_TABLES}
