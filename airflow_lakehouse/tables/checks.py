"""What must hold of a table before readers see it: checks of a row, of the grain, and of how many rows there are.

They hold what the transforms promise, not what sources ought to send: a reversed period or an impossible date is
flagged in its row, and a check that it would fail would keep a whole day from its readers. Null counts as holding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from airflow_lakehouse.exceptions import TableContractError

UNIQUE_KEY: Final = "UNIQUE_KEY"
"""Check that every table has: no two rows of one key."""
ROW_COUNT: Final = "ROW_COUNT"
"""Check that a :class:`Drift` declares: a run takes away no more rows than that."""
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Check:
    """What every row of a table must satisfy.

    :param name: upper snake case; unique in its table.
    :param holds: predicate on the row in SQL; a row for which it is false fails, one for which it is null does not.
    :param doc: what it means, one sentence.
    """

    name: str
    holds: str
    doc: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in (UNIQUE_KEY, ROW_COUNT):
            raise TableContractError(
                f"check name {self.name!r} is taken or not upper snake case",
                legal=f"{_NAME.pattern}, and neither {UNIQUE_KEY} nor {ROW_COUNT}",
            )


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one run may bring down the number of rows.

    Only a loss is held against a run: a first load, a backfill and a new source system all multiply the rows of a
    table, and are no accident. A feed that arrives cut off is one.

    :param least: share of the rows there were that must be left, 0 to 1.
    :param counts_from: rows a table must have had for a share of them to mean anything.
    """

    least: float
    counts_from: int

    def holds(self, before: int, after: int) -> bool:
        """Tell whether a run leaves enough.

        :param before: rows there were.
        :param after: rows it leaves.
        """
        return before < self.counts_from or after >= self.least * before


def not_null(column: str) -> Check:
    """Return the check that a column has a value.

    :param column: the column.
    """
    return Check(f"NOT_NULL_{column.upper()}", f"`{column}` IS NOT NULL", f"{column} is never null")


def within(column: str, low: float, high: float | None = None) -> Check:
    """Return the check that a number lies in a range.

    :param column: the column.
    :param low: smallest legal value.
    :param high: greatest legal value; None for any.
    """
    upper = "" if high is None else f" AND `{column}` <= {high}"
    told = f"at least {low}" if high is None else f"from {low} to {high}"
    return Check(f"RANGE_{column.upper()}", f"`{column}` >= {low}{upper}", f"{column} is {told}")


def ordered(low: str, high: str) -> Check:
    """Return the check that one column is not greater than another.

    :param low: the lower one.
    :param high: the other.
    """
    return Check(f"ORDER_{low.upper()}", f"`{low}` <= `{high}`", f"{low} is not after {high}")


def one_of(column: str, *values: str) -> Check:
    """Return the check that a text is one of some.

    :param column: the column.
    :param values: what is legal.
    """
    listed = ", ".join(f"'{value}'" for value in values)
    return Check(f"VALUES_{column.upper()}", f"`{column}` IN ({listed})", f"{column} is one of {', '.join(values)}")
