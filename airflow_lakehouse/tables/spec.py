"""What a table is: columns, grain, key, keep-rule, partitions and what it reads.

A :class:`Table` is the only statement of these facts. Spark schemas, DDL, MERGE statements, PyIceberg
reads, sensors' legal partitions, Airflow assets, dbt sources and the data dictionary are derived from
it. A definition that contradicts itself fails when it is imported, not at three in the morning.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from airflow_lakehouse.exceptions import TableContractError
from airflow_lakehouse.tables.checks import Check, Drift, not_null

NAMESPACES: Final = ("bronze", "silver", "gold", "ops")

_NAME = re.compile(r"_?[a-z][a-z0-9_]*")
_SCALAR = r"(?:string|boolean|int|long|double|date|timestamp|binary|decimal\(\d+,\d+\))"
_FIELD = rf"[a-z][a-z0-9_]*:{_SCALAR}"
_STRUCT = rf"struct<{_FIELD}(?:,{_FIELD})*>"
_TYPE = re.compile(rf"{_SCALAR}|{_STRUCT}|array<(?:string|double|{_STRUCT})>|map<string,string>")
_TIMES = re.compile(r"date|timestamp")
_PARTITIONED_BY: Final = {
    "identity": re.compile(_SCALAR),
    "year": _TIMES,
    "month": _TIMES,
    "day": _TIMES,
    "bucket": re.compile(r"string|int|long|date|timestamp|binary|decimal\(\d+,\d+\)"),
}
"""Types each transform takes: https://iceberg.apache.org/spec/#partition-transforms."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    :param name: lower snake case; Iceberg readers differ in how they treat capitals.
    :param type: ``string``, ``boolean``, ``int``, ``long``, ``double``, ``date``, ``timestamp`` (an instant,
        UTC), ``binary``, ``decimal(p,s)``, ``struct<name:type,...>`` of these, ``array<string>``, ``array<double>``,
        an array of structs, or ``map<string,string>``.
    :param doc: meaning and unit, one sentence; becomes the column comment and the data dictionary.
    :param required: never null.
    :param refers_to: name of the table whose rows this column names, by the last column of its key and in the same
        source system; the row may be missing there.
    :param earlier_names: what the column was called in former releases. A table that has it under one of these gets it
        renamed: the values stay. To be stated for as long as there may be tables of those releases.
    """

    name: str
    type: str
    doc: str
    required: bool = False
    refers_to: str = ""
    earlier_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise TableContractError(f"column name {self.name!r} is not lower snake case", legal=_NAME.pattern)
        if not _TYPE.fullmatch(self.type):
            raise TableContractError(f"column {self.name!r} has type {self.type!r}", legal=_TYPE.pattern)
        if not self.doc:
            raise TableContractError(f"column {self.name!r} has no description", remedy="say what it means")
        if isinstance(self.earlier_names, str):
            # A text would be taken letter by letter.
            raise TableContractError(f"earlier_names of column {self.name!r} is a text", legal="a tuple of names")


@dataclass(frozen=True, slots=True)
class Partition:
    """One field of the partition spec.

    :param column: source column.
    :param transform: ``identity``, ``year``, ``month``, ``day`` or ``bucket``.
    :param width: number of buckets, for ``bucket`` alone.
    """

    column: str
    transform: str = "identity"
    width: int | None = None

    def __post_init__(self) -> None:
        if self.transform not in _PARTITIONED_BY or (self.transform == "bucket") != (self.width is not None):
            raise TableContractError(
                f"partition on {self.column!r} has transform {self.transform!r} and width {self.width!r}",
                legal=f"{', '.join(_PARTITIONED_BY)}; a width for bucket alone",
            )

    @property
    def field_name(self) -> str:
        """Name of the field in the partition spec of a table that is made today."""
        return self.column if self.transform == "identity" else f"{self.column}_{self.transform}"


@dataclass(frozen=True, slots=True)
class Keep:
    """Which row of a key wins: the greatest by these columns, nulls lowest.

    :param order_by: columns in order of weight. The last ones identify a row, so that the order is total:
        with ties the winner would depend on the order in which Spark happened to read the files.
    """

    order_by: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.order_by or self.order_by[-1] not in _TOTAL_ORDER_ENDS:
            raise TableContractError(
                f"keep-rule {self.order_by!r} is not a total order", legal=f"end in one of {_TOTAL_ORDER_ENDS}"
            )


_TOTAL_ORDER_ENDS = ("source_entry", "block_id")


@dataclass(frozen=True)
class Table:
    """One table of the lakehouse.

    :param name: unique over all namespaces; starts with its namespace, except in ``ops``.
    :param namespace: one of :data:`NAMESPACES`.
    :param grain: "one row per ...", for people.
    :param columns: in the order readers see them.
    :param key: columns that identify a row; no two rows share one.
    :param keep: which row of a key wins where several arrive; None where a key can arrive only once.
    :param partitions: the partition spec, possibly empty.
    :param reads: names of the tables this one is built from, its rows' own first; the others decide flags and links.
    :param doc: what else a reader must know.
    :param checks: what must hold of its rows before readers see them, beside what key and required columns imply.
    :param drift: how many rows a run may take away; None for any number.
    """

    name: str
    namespace: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    keep: Keep | None = None
    partitions: tuple[Partition, ...] = ()
    reads: tuple[str, ...] = ()
    doc: str = ""
    checks: tuple[Check, ...] = ()
    drift: Drift | None = None

    def __post_init__(self) -> None:
        if self.namespace not in NAMESPACES:
            raise TableContractError(f"table {self.name!r} is in namespace {self.namespace!r}", legal=str(NAMESPACES))
        if self.namespace != "ops" and not self.name.startswith(f"{self.namespace}_"):
            raise TableContractError(f"table {self.name!r} does not start with its namespace {self.namespace!r}")
        names = [column.name for column in self.columns]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise TableContractError(f"table {self.name!r} states columns twice: {doubled}")
        self._check_earlier_names()
        if not self.grain.startswith("one row per "):
            raise TableContractError(f"table {self.name!r} has grain {self.grain!r}", legal='"one row per ..."')
        self._check_uses(self.key, "key")
        self._check_uses(tuple(partition.column for partition in self.partitions), "partition")
        self._check_partitions()
        checks = [check.name for check in self.row_checks]
        if len(set(checks)) < len(checks):
            raise TableContractError(f"table {self.name!r} states checks twice", legal="one name, one check")

    def _check_earlier_names(self) -> None:
        """Refuse names that would say of a column of some table that it is two, or another than it was."""
        taken = Counter([*self.column_names, *(name for column in self.columns for name in column.earlier_names)])
        claimed = sorted({name for column in self.columns for name in column.earlier_names if taken[name] > 1})
        if claimed:
            raise TableContractError(
                f"table {self.name!r} states {claimed} as earlier names, and as names or earlier names elsewhere",
                legal="names no other column has or had: of one that comes back, old readers would get other values",
            )

    def _check_partitions(self) -> None:
        """Refuse what Iceberg refuses, and would refuse only when the table is made."""
        sources = [partition.column for partition in self.partitions]
        if len(sources) > len(set(sources)):
            raise TableContractError(
                f"table {self.name!r} is partitioned twice by one column: {sources}",
                legal="one field a column: PyIceberg, which writes here too, cannot write a table with two",
            )
        for partition in self.partitions:
            legal = _PARTITIONED_BY[partition.transform]
            if not legal.fullmatch(self.column(partition.column).type):
                raise TableContractError(
                    f"table {self.name!r} is partitioned by {partition.transform} of {partition.column!r}, which is"
                    f" {self.column(partition.column).type}",
                    legal=f"columns of type {legal.pattern}",
                )
            if partition.transform != "identity" and partition.field_name in self.column_names:
                raise TableContractError(
                    f"table {self.name!r} has two things called {partition.field_name!r}: partition fields and columns"
                    " share one set of names"
                )

    def _check_uses(self, used: tuple[str, ...], role: str) -> None:
        missing = [name for name in used if name not in self.column_names]
        if missing or (role == "key" and not used):
            raise TableContractError(f"table {self.name!r} names {role} columns it does not have: {missing or 'none'}")

    @cached_property
    def identifier(self) -> str:
        """Namespace and name with a dot, as catalogs know the table."""
        return f"{self.namespace}.{self.name}"

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def row_checks(self) -> tuple[Check, ...]:
        """Checks of its rows: those of the key and of required columns, then those declared."""
        filled = {*self.key, *(column.name for column in self.columns if column.required)}
        return (*(not_null(name) for name in self.column_names if name in filled), *self.checks)

    @cached_property
    def partition_columns(self) -> tuple[str, ...]:
        """Columns a partition sensor may ask for: those partitioned by their own value."""
        return tuple(partition.column for partition in self.partitions if partition.transform == "identity")

    def column(self, name: str) -> Column:
        """Return one column.

        :param name: its name.
        :raises TableContractError: when the table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise TableContractError(f"table {self.name!r} has no column {name!r}", legal=", ".join(self.column_names))
