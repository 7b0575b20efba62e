"""The checks of silver, run over what a run has staged, before readers see any of it.

What a run changed is looked at, and not the rows it left alone: they were looked at when they came. Checks are declared
in :mod:`airflow_lakehouse.tables`; key and required columns imply some.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import CheckFailedError, ConfigurationError
from airflow_lakehouse.spark.iceberg import schema
from airflow_lakehouse.spark.storage.catalog import find_table
from airflow_lakehouse.tables import ops, silver
from airflow_lakehouse.tables.checks import ROW_COUNT, UNIQUE_KEY

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pyiceberg.catalog import Catalog
    from pyspark.sql import Column, DataFrame, SparkSession

    from airflow_lakehouse.spark.iceberg.branches import Staged
    from airflow_lakehouse.tables import Table

PASSED: Final = "passed"
FAILED: Final = "failed"
ACCEPTED: Final = "accepted"
"""The check fails, and the run was told to publish all the same."""
EXAMPLES: Final = 10
"""How many of the rows that fail are named."""
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found in one table.

    :param staged: the table.
    :param check: name of the check.
    :param rows: rows that were looked at.
    :param failed: those that fail.
    :param examples: file, and line, entry or page, that the first of them came from.
    :param outcome: :data:`PASSED`, :data:`FAILED` or :data:`ACCEPTED`.
    """

    staged: Staged
    check: str
    rows: int
    failed: int = 0
    examples: tuple[tuple[str, int], ...] = ()
    outcome: str = PASSED


def acceptable() -> frozenset[str]:
    """Return the checks whose failure can be accepted. Two rows of one key, or none, no later run could put right."""
    declared = {check.name for table in silver.TABLES for check in table.checks}
    return frozenset(declared | {ROW_COUNT})


def check_accepted(names: Collection[str]) -> None:
    """Check that what a run is told to accept can be.

    :param names: names of checks.
    :raises ConfigurationError: for any other name.
    """
    strangers = sorted(set(names) - acceptable())
    if strangers:
        raise ConfigurationError(
            f"a failure of {', '.join(strangers)} cannot be accepted", legal=", ".join(sorted(acceptable()))
        )


def run(spark: SparkSession, staged: Sequence[Staged], accepted: Collection[str] = ()) -> list[Finding]:
    """Run every check of some tables over the rows that changed.

    :param spark: the session.
    :param staged: the tables.
    :param accepted: checks whose failure is accepted.
    :return: one finding a table and check.
    """
    changed = [one for one in staged if one.change.added or one.change.updated or one.change.deleted]
    suspects = _suspects(spark, changed)
    findings: list[Finding] = []
    for one in changed:
        rows, bad, is_doubled = suspects.get(one.table.name, (0, 0, False))
        for position, check in enumerate(one.table.row_checks):
            is_bad = bool(bad >> position & 1)
            failing = _failing(spark, one, check.holds) if is_bad else None
            findings.append(_finding(one, check.name, rows, failing))
        findings.append(_finding(one, UNIQUE_KEY, rows, _doubled(spark, one) if is_doubled else None))
        findings += _drift(one)
    return [_judged(finding, accepted) for finding in findings]


def refuse(findings: Sequence[Finding]) -> None:
    """Stop a run whose findings do not let it be published.

    :param findings: from :func:`run`.
    :raises CheckFailedError: naming tables, checks, where rows came from, and the branch to look at.
    """
    failed = [finding for finding in findings if finding.outcome == FAILED]
    if failed:
        told = "; ".join(map(_told, failed))
        can_accept = sorted({finding.check for finding in failed} & acceptable())
        accept = f", or publish it all the same with --accept {' --accept '.join(can_accept)}" if can_accept else ""
        raise CheckFailedError(
            f"nothing of silver was published: {told}",
            remedy=f"look at `lakehouse show audits`, and at the tables with --as-of {failed[0].staged.branch}; mend"
            f" the source and run again{accept}",
        )


def record(catalog: Catalog, findings: Sequence[Finding], run_id: str) -> None:
    """Append findings to ``ops.audits``.

    :param catalog: the catalog.
    :param findings: from :func:`run`.
    :param run_id: the run.
    """
    import pyarrow as pa

    target = find_table(catalog, ops.AUDITS.identifier)
    if target is None or not findings:
        return
    is_kept = any(finding.outcome == FAILED for finding in findings)
    now = datetime.now(UTC)
    rows = [
        {
            "run_id": run_id,
            "table_name": finding.staged.table.name,
            "check": finding.check,
            "outcome": finding.outcome,
            "rows": finding.rows,
            "failed": finding.failed,
            "examples": [{"source_uri": uri, "source_row": row} for uri, row in finding.examples],
            "branch": finding.staged.branch if is_kept else None,
            "recorded_at": now,
        }
        for finding in findings
    ]
    target.append(pa.Table.from_pylist(rows, schema=target.schema().as_arrow()))


def _suspects(spark: SparkSession, staged: Sequence[Staged]) -> dict[str, tuple[int, int, bool]]:
    """Return table name to rows looked at, a bit for each check that some fail, and whether keys may be doubled.

    One query over all tables: most runs change little in each of them, and a query of its own would cost them more
    than what it looks at. Keys are compared by their hashes; only where two are equal are they compared themselves.
    """
    from pyspark.sql import functions as F

    if not staged:
        return {}
    parts = [
        _changed(spark, one).select(
            F.lit(one.table.name).alias("table"), F.xxhash64(*one.table.key).alias("key"), _bits(one.table).alias("bad")
        )
        for one in staged
    ]
    keys = reduce(lambda left, right: left.unionByName(right), parts).groupBy("table", "key")
    counted = keys.agg(F.count("*").alias("n"), F.bit_or("bad").alias("bad")).groupBy("table")
    found = counted.agg(F.sum("n").alias("n"), F.bit_or("bad").alias("bad"), (F.max("n") > 1).alias("doubled"))
    return {row["table"]: (row["n"], row["bad"], row["doubled"]) for row in found.collect()}


def _bits(table: Table) -> Column:
    """Return a number with a bit for each check that a row fails, in the order of the checks."""
    from pyspark.sql import functions as F

    bits = [
        F.when(~F.coalesce(F.expr(check.holds), F.lit(True)), F.lit(1 << position)).otherwise(F.lit(0))
        for position, check in enumerate(table.row_checks)
    ]
    return reduce(lambda left, right: left.bitwiseOR(right), bits).cast("long")


def _changed(spark: SparkSession, staged: Staged) -> DataFrame:
    """Return the rows of the branch that have a key the run touched."""
    from pyspark.sql import functions as F

    rows = spark.read.option("versionAsOf", str(staged.snapshot)).table(schema.qualified(staged.table))
    if staged.touched is None:
        return rows
    keys = staged.touched.select(*(F.col(name).alias(f"_{name}") for name in staged.table.key))
    # A row without a whole key is what one of the checks is after: null must find null.
    same = reduce(lambda left, right: left & right, (F.col(n).eqNullSafe(F.col(f"_{n}")) for n in staged.table.key))
    return rows.join(keys, same, "left_semi")


def _failing(spark: SparkSession, staged: Staged, holds: str) -> DataFrame:
    from pyspark.sql import functions as F

    return _changed(spark, staged).where(~F.coalesce(F.expr(holds), F.lit(True)))


def _doubled(spark: SparkSession, staged: Staged) -> DataFrame:
    from pyspark.sql import functions as F

    rows, key = _changed(spark, staged), list(staged.table.key)
    return rows.join(rows.groupBy(*key).count().where(F.col("count") > 1).select(*key), key, "left_semi")


def _finding(staged: Staged, check: str, rows: int, failing: DataFrame | None) -> Finding:
    if failing is None:
        return Finding(staged, check, rows)
    places = failing.select("source_uri", "source_row").orderBy("source_uri", "source_row").limit(EXAMPLES).collect()
    examples = tuple((row["source_uri"], row["source_row"]) for row in places)
    return Finding(staged, check, rows, failing.count(), examples)


def _drift(staged: Staged) -> list[Finding]:
    drift, change = staged.table.drift, staged.change
    if drift is None:
        return []
    before = change.rows + change.deleted - change.added
    is_fine = drift.holds(before, change.rows)
    return [Finding(staged, ROW_COUNT, before, 0 if is_fine else before - change.rows)]


def _judged(finding: Finding, accepted: Collection[str]) -> Finding:
    if not finding.failed:
        return finding
    outcome = ACCEPTED if finding.check in accepted else FAILED
    return replace(finding, outcome=outcome)


def _told(finding: Finding) -> str:
    name = finding.staged.table.name
    if finding.check == ROW_COUNT:
        return f"{name}: {ROW_COUNT}: {finding.failed} of {finding.rows} rows would go"
    places = ", ".join(f"{uri}:{row}" for uri, row in finding.examples[:_SHOWN])
    more = " ..." if finding.failed > _SHOWN else ""
    return f"{name}: {finding.check}: {finding.failed} of {finding.rows} rows fail, from {places}{more}"
