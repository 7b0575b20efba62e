"""Ops: what was loaded, what drifted, whether the counts add up, and what audits found."""

from __future__ import annotations

from typing import Final

from airflow_lakehouse.tables.bronze import FILE, FILE_KEY, LOAD
from airflow_lakehouse.tables.spec import Column, Table

INGESTED_FILES: Final = Table(
    name="ingested_files",
    namespace="ops",
    grain="one row per file version",
    columns=(
        *FILE,
        Column("size", "long", "Bytes; null where the ledger was rebuilt and the file was gone"),
        Column("parser", "string", "Parser that claimed the file", required=True),
        Column("parser_version", "string", "Version of that parser", required=True),
        Column("state", "string", "discovered, loaded or quarantined", required=True),
        Column("records", "long", "Records found in the file; null until loaded"),
        Column("quarantined", "long", "Records of the file that were rejected; null until loaded"),
        *LOAD,
        Column("run_id", "string", "Run that wrote this state", required=True),
        Column(
            "returned_at",
            "timestamp",
            "When this version was in its place again, after another had been found there; null if it never was",
        ),
    ),
    key=FILE_KEY,
    doc="Derived: bronze is the truth, and this can be rebuilt from it.",
)
UNKNOWN_FIELDS: Final = Table(
    name="unknown_fields",
    namespace="ops",
    grain="one row per resource type and path that no schema names",
    columns=(
        Column("source_system", "string", "Who sent it", required=True),
        Column("resource_type", "string", "FHIR resource type", required=True),
        Column("path", "string", "Path of the field, or type.extension('url') of an extension", required=True),
        Column("example_type", "string", "JSON kind first seen there: object, array, string ...", required=True),
        Column("first_seen", "timestamp", "When it was first seen", required=True),
        Column("occurrences", "long", "Records it was seen in", required=True),
    ),
    key=("source_system", "resource_type", "path"),
)
RECONCILIATION: Final = Table(
    name="reconciliation",
    namespace="ops",
    grain="one row per run, stage, table and class of rows",
    columns=(
        Column("run_id", "string", "Run", required=True),
        Column("stage", "string", "bronze or silver, for one run; total, over all runs", required=True),
        Column("table_name", "string", "Table the counts are about", required=True),
        Column(
            "class",
            "string",
            "bronze: read, loaded; silver: winner, superseded, excluded, rows, added, updated, deleted; total: winner,"
            " superseded, excluded, replaced, component, stored",
            required=True,
        ),
        Column("rows", "long", "Rows in that class", required=True),
        Column("recorded_at", "timestamp", "When it was counted", required=True),
    ),
    key=("run_id", "stage", "table_name", "class"),
)
AUDITS: Final = Table(
    name="audits",
    namespace="ops",
    grain="one row per run, table and check",
    columns=(
        Column("run_id", "string", "Run", required=True),
        Column("table_name", "string", "Table that was checked", required=True),
        Column("check", "string", "Check, as the data dictionary names it", required=True),
        Column("outcome", "string", "passed, failed, or accepted: failed, and published because the run was told to"),
        Column("rows", "long", "Rows the run changed, which were looked at", required=True),
        Column("failed", "long", "Rows among them that fail; for ROW_COUNT, rows that went", required=True),
        Column(
            "examples",
            "array<struct<source_uri:string,source_row:long>>",
            "Where the first of them came from: file, and line, entry or page in it",
        ),
        Column("branch", "string", "Branch on which the table is kept as it failed; null where all was published"),
        Column("recorded_at", "timestamp", "When it was checked", required=True),
    ),
    key=("run_id", "table_name", "check"),
    doc="What an audit found before readers saw it. A run that changes nothing has none.",
)

TABLES: Final = (INGESTED_FILES, UNKNOWN_FIELDS, RECONCILIATION, AUDITS)
