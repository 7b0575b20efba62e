"""No MERGE of ours is insert-only: Spark plans that as an append, and two runs over the same files both commit."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.spark.iceberg import schema
from airflow_lakehouse.tables import ALL, Table

if TYPE_CHECKING:
    from collections.abc import Callable

_CLAUSE = re.compile(r"WHEN\s+MATCHED\b.*?\bTHEN\s+(?:UPDATE|DELETE)\b", re.IGNORECASE | re.DOTALL)
_PRUNE = "t.`dt` IN (DATE'2026-01-01')"


def is_guarded(statement: str) -> bool:
    """Whether a statement is no MERGE, or one that Iceberg checks for rows another commit has added.

    :param statement: SQL.
    """
    return not re.search(r"\bMERGE\s+INTO\b", statement, re.IGNORECASE) or bool(_CLAUSE.search(statement))


def _renderers() -> list[Callable[..., str]]:
    public = inspect.getmembers(schema, inspect.isfunction)
    return [
        function for name, function in public if name.endswith("_statement") and function.__module__ == schema.__name__
    ]


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
@pytest.mark.parametrize("render", _renderers(), ids=lambda render: render.__name__)
def test_every_rendered_merge_is_guarded(render: Callable[..., str], table: Table) -> None:
    """Whatever statement is rendered for whatever table, a concurrent commit of the same rows makes it fail."""
    known = {"table": table, "source": "the_source", "prune": _PRUNE, "branch": "audit_a"}
    given = {name: known[name] for name in inspect.signature(render).parameters}
    statement = render(**given)
    assert is_guarded(statement), statement
    if "prune" in given and "MERGE" in statement:
        assert f"ON {_PRUNE} AND" in statement, "without it in ON, commits to other partitions conflict"


def test_merges_are_rendered() -> None:
    """The sweep above has something to look at."""
    assert sum("MERGE INTO" in inspect.getsource(render) for render in _renderers()) >= 2


def test_merges_are_written_nowhere_else(texts: dict[str, str]) -> None:
    """A MERGE in another file would escape the sweep: in Python only the schema module renders them."""
    strangers = [
        name
        for name, text in texts.items()
        if name.endswith(".py")
        # Benchmarks write the peer's MERGE, into tables of their own.
        and not name.startswith(("tests/", "benchmarks/"))
        and name != "airflow_lakehouse/spark/iceberg/schema.py"
        and re.search(r"[\"'{]\s*MERGE\s+INTO\b", text)
    ]
    assert not strangers


def test_merges_of_dbt_are_guarded(texts: dict[str, str]) -> None:
    """The macros write MERGEs of their own; the same rule holds there."""
    unguarded = [name for name, text in texts.items() if name.endswith(".sql") and not is_guarded(text)]
    assert not unguarded


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        ("MERGE INTO t USING s ON t.a = s.a WHEN NOT MATCHED THEN INSERT *", False),
        ("merge into t using s on t.a = s.a\nwhen not matched by target then insert *", False),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND false THEN DELETE WHEN NOT MATCHED THEN INSERT *", True),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *", True),
        ("INSERT INTO t SELECT * FROM s", True),
    ],
)
def test_the_lint_tells_them_apart(statement: str, *, verdict: bool) -> None:
    """The check itself: it rejects the append in disguise and nothing else."""
    assert is_guarded(statement) is verdict
