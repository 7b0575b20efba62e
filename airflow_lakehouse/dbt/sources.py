"""dbt's ``sources`` file, from the table definitions: the models' columns and keys are stated nowhere twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.tables import bronze, silver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_lakehouse.tables import Column, Table

SOURCES_FILE: Final = Path("models/sources/_silver.yml")
"""Where the file lies in the dbt project."""

SOURCE_TABLES: Final = (*silver.TABLES, bronze.DOCS_PAGES)
"""Tables gold may read: silver, and the fate of every page."""

_HEADER: Final = """\
# Generated from airflow_lakehouse/tables. Do not edit: change the tables, then run
#   python -m airflow_lakehouse.dbt.sources
version: 2

sources:
"""


def render_sources(tables: tuple[Table, ...] = SOURCE_TABLES) -> str:
    """Return the text of the ``sources`` file.

    :param tables: the tables it declares.
    """
    return _HEADER + "\n".join(_lines(tables)) + "\n"


def _lines(tables: tuple[Table, ...]) -> Iterator[str]:
    for namespace in sorted({table.namespace for table in tables}):
        yield f"  - name: {namespace}"
        yield f"    schema: {namespace}"
        yield "    tables:"
        for table in tables:
            if table.namespace == namespace:
                yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    description = table.grain[0].upper() + table.grain[1:] + "."
    yield f"      - name: {table.name}"
    yield f"        description: {json.dumps(' '.join(filter(None, (description, table.doc))))}"
    yield f"        config: {{meta: {{grain: {json.dumps(table.grain)}}}, loaded_at_field: ingested_at}}"
    yield "        data_tests:"
    yield f"          - unique_combination: {{arguments: {{columns: [{', '.join(table.key)}]}}}}"
    yield "        columns:"
    for column in table.columns:
        yield from _column(column)


def _column(column: Column) -> Iterator[str]:
    spark_type = {"long": "bigint"}.get(column.type, column.type)
    yield f"          - name: {column.name}"
    yield f"            data_type: {json.dumps(spark_type)}"
    yield f"            description: {json.dumps(column.doc)}"


def main() -> None:
    """Write the file into the dbt project of this checkout."""
    from airflow_lakehouse.resources import resource_dir

    (resource_dir("dbt_example") / SOURCES_FILE).write_text(render_sources(), encoding="utf-8")


if __name__ == "__main__":
    main()
