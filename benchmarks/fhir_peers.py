"""What becomes of awkward FHIR records here, in plain Spark and in Pathling: ``docs/explanation/fhir-peers.md``.

Run from the project's root: ``.venv/bin/python benchmarks/fhir_peers.py``. Every tool reads the same corpus
(:mod:`awkward_records`); what it did is looked at, not looked up.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import plain_spark
from awkward_records import COLUMNS, Case, cases, error_name, write
from bench_export import run
from fhir_ingest import PATHLING, set_up_pathling

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.engine import connect_server
from airflow_lakehouse.spark.engine.session import open_session
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog
from airflow_lakehouse.tables import bronze, silver

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "fhir-peers.md"
_NUMERIC_ID: Final = "123"
_SILVER: Final = {"Patient": silver.PATIENT, "Encounter": silver.ENCOUNTER, "Observation": silver.OBSERVATION}
_HEAD: Final = """# Awkward FHIR records, here and elsewhere

Written by `benchmarks/fhir_peers.py` on {day} with Spark {spark} and Pathling {pathling}; each cell is what the tool
did with the same file. Most files hold the awkward record between two good ones. *Plain Spark* is `from_json` with a
schema and one MERGE (`benchmarks/plain_spark.py`); Pathling encodes lines and knows no versions or tables.

- **right**: what FHIR R4 says is there. *text as sent*: the value is not typed, but not changed either.
- **kept apart**: in quarantine with this reason, or in bronze but held back from silver; nothing is lost.
- **vanishes**: no row, no error, no trace. **row of nulls**: a row that says nothing of the record it came from.
- **as if good**: a record that should not be taken at its word is taken at its word.

| case | airflow-lakehouse | plain Spark | Pathling |
|---|---|---|---|
"""


@dataclass
class Outcome:
    """What a tool did with one case.

    :param rows: id and probed values of every row of the type.
    :param error: class of the error that ended it.
    :param notes: reason codes and flags that it left.
    """

    rows: list[tuple[str | None, tuple[Any, ...]]] = field(default_factory=list)
    error: str = ""
    notes: tuple[str, ...] = ()

    def told(self, case: Case) -> str:
        """Return the outcome in words.

        :param case: the case.
        """
        if self.error:
            return f"fails ({self.error}), nothing loads"
        mine = [shown for id_, shown in self.rows if id_ == _NUMERIC_ID or (id_ or "").partition("#")[0] == "x"]
        words = [self._record(case, mine)]
        words += [f"`{note}`" for note in self.notes]
        near = {id_ for id_, _ in self.rows} & {"n1", "n2"}
        if len(near) < case.neighbours:
            words.append(f"{case.neighbours - len(near)} of {case.neighbours} neighbours lost")
        return ", ".join(words)

    def _record(self, case: Case, mine: list[tuple[Any, ...]]) -> str:
        if not mine:
            return self._absent(case)
        if len(mine) != case.rows:
            return f"{len(mine)} rows for {case.rows}" if case.rows else "as if good"
        return _shown(case, mine[0]) if case.probe else "right"

    def _absent(self, case: Case) -> str:
        if any(id_ is None for id_, _ in self.rows):
            return "row of nulls"
        if case.is_deleted:
            return "right"
        return "kept apart" if self.notes else "vanishes"


def _shown(case: Case, values: tuple[Any, ...]) -> str:
    shown = [_text(value) for value in values]
    if any(_same(one, case.right) for one in shown):
        return "right"
    return "text as sent" if case.sent in shown else f"says {' and '.join(str(one) for one in shown)}"


def _text(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    return None if value is None else str(value)


def _same(shown: str | None, right: str | None) -> bool:
    if shown is None or right is None:
        return shown == right
    try:
        return Decimal(shown) == Decimal(right)
    except InvalidOperation:
        return shown == right


def _ours(written: list[tuple[Case, Path]], scratch: Path) -> list[Outcome]:
    warehouse = scratch / "ours"
    run(scratch / "corpus", warehouse)
    profile = Profile(str(warehouse), str(scratch / "corpus"))
    tables = {name: read_rows(profile, table.name) for name, table in _SILVER.items()}
    tables["Observation"] += read_rows(profile, silver.COLLISIONS.name)
    kept: dict[str, set[str]] = {}
    for row in read_rows(profile, bronze.QUARANTINE.name):
        kept.setdefault(row["source_uri"], set()).add(row["reason"])
    for table in (*bronze.FHIR_TABLES.values(), bronze.OTHER):
        for row in read_rows(profile, table.name):
            kept.setdefault(row["source_uri"], set()).update(row["flags"])
    outcomes = []
    for case, path in written:
        rows = [row for row in tables[case.type] if row["source_system"] == path.parent.name.partition("=")[2]]
        key = _SILVER[case.type].key[-1] if case.type != "Observation" else "observation_id"
        flags = {flag for row in rows for flag in row["flags"] if not flag.startswith("ORPHAN_")}
        notes = flags | {
            note for uri, found in kept.items() if uri.endswith(f"/{path.parent.name}/{path.name}") for note in found
        }
        names = COLUMNS.get(case.probe, (case.probe,) if case.probe else ())
        outcomes.append(
            Outcome([(row[key], tuple(row[name] for name in names)) for row in rows], "", tuple(sorted(notes)))
        )
    return outcomes


def _plain(written: list[tuple[Case, Path]], scratch: Path) -> list[Outcome]:
    profile = Profile(str(scratch / "plain"))
    create_local_catalog(profile)
    server = connect_server.running_server()
    with open_session(profile, server.remote if server else None) as spark:
        spark.sql("CREATE NAMESPACE IF NOT EXISTS cases")
        return [_plain_case(spark, case, path, number) for number, (case, path) in enumerate(written)]


def _plain_case(spark: SparkSession, case: Case, path: Path, number: int) -> Outcome:
    names = [name for name in COLUMNS.get(case.probe, (case.probe,)) if name in plain_spark.COLUMNS[case.type]]
    key = next(iter(plain_spark.COLUMNS[case.type]))
    try:
        lines = spark.read.text(str(path)).selectExpr("value AS body", f"'{path}' AS source_uri")
        lines.createOrReplaceTempView("case_lines")
        plain_spark.merge(spark, f"cases.c{number}", plain_spark.typed("case_lines", case.type), (key,))
        rows = spark.table(f"cases.c{number}").select(key, *names).collect()
    except Exception as error:  # noqa: BLE001 - whatever it fails with is what the table tells
        return Outcome(error=error_name(error))
    ids = [row[0] and row[0].removesuffix("#0") for row in rows]
    return Outcome([(id_, tuple(row[1:])) for id_, row in zip(ids, rows, strict=True)])


def _pathling(scratch: Path) -> list[Outcome]:
    output = set_up_pathling(scratch).run("pathling_cases.py", scratch / "pathling-corpus")
    found = json.loads(output.splitlines()[-1])
    return [
        Outcome(
            [(id_ and id_.rpartition("/")[2], (shown,)) for id_, shown in one.get("rows", [])], one.get("error", "")
        )
        for one in found
    ]


def main() -> None:
    """Run the corpus through every tool and write the page."""
    with tempfile.TemporaryDirectory() as folder, connect_server.hold_server():
        scratch = Path(folder)
        written = write(scratch / "corpus")
        tools = (_ours(written, scratch), _plain(written, scratch), _pathling(scratch))
    lines = [
        f"| {case.name} | {' | '.join(tool[number].told(case) for tool in tools)} |\n"
        for number, case in enumerate(cases())
    ]
    head = _HEAD.format(day=datetime.now().astimezone().date(), spark=version("pyspark"), pathling=PATHLING)
    PAGE.write_text(head + "".join(lines))
    print(f"{len(lines)} cases: {PAGE}")


if __name__ == "__main__":
    main()
