"""The columns of a table, as declared: added, renamed, widened, allowed to be null, put in order."""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.evolve import fields
from airflow_lakehouse.spark.evolve.changes import ADD, RENAME
from airflow_lakehouse.spark.iceberg.create import iceberg_schema

if TYPE_CHECKING:
    from pyiceberg.types import NestedField

    from airflow_lakehouse.spark.evolve.changes import Draft
    from airflow_lakehouse.tables import Column

_BY_HAND: Final = "rename or drop one of them by hand (ALTER TABLE)"


def stage(draft: Draft) -> None:
    """Stage what makes the columns of a table as declared. Columns that nobody declares stay where and as they are.

    :param draft: the plan; what is renamed is noted in it.
    """
    from pyiceberg.exceptions import ValidationError

    present = {field.name: field for field in draft.schema.fields}
    steps: fields.Steps = []
    known = _conform_all(draft, steps, present)
    _allow_null_in_others(draft, steps, present, known)
    _put_in_order(draft, steps, present, known)
    if not steps:
        return
    try:
        with draft.transaction.update_schema(allow_incompatible_changes=True) as update:
            for step in steps:
                step(update)
        draft.staged()
    except (ValueError, ValidationError) as error:
        # PyIceberg has rules of its own, such as for names that partition fields have taken.
        draft.refuse("columns", f"cannot be changed: {error}", "another name or type")


def _conform_all(draft: Draft, steps: fields.Steps, present: dict[str, NestedField]) -> dict[str, str]:
    """Stage every declared column, and return declared to present name; those that are refused are left out."""
    known = {}
    for column, wanted in zip(draft.declared.columns, iceberg_schema(draft.declared).fields, strict=True):
        there = _find(draft, column, present)
        if there is None:
            continue
        known[column.name] = there
        if there not in present:
            _add(draft, steps, wanted)
            continue
        if there != column.name:
            steps.append(methodcaller("rename_column", there, column.name))
            draft.renamed[there] = column.name
            draft.change(RENAME, column.name, f"was {there}")
        fields.conform(draft, steps, (there,), present[there], wanted)
    return known


def _find(draft: Draft, column: Column, present: dict[str, NestedField]) -> str | None:
    """Return the name a column has in the table: the declared one where it is new; None where that is refused."""
    alike = next((name for name in present if name.lower() == column.name != name), None)
    if alike is not None:
        # Spark tells names apart by letters alone, and could read neither.
        draft.refuse(column.name, f"differs from column {alike!r} of the table in capitals alone", _BY_HAND)
        return None
    known = [name for name in (column.name, *column.earlier_names) if name in present]
    if len(known) > 1:
        # The values may be in either, or some in each: an older release may have run since, or somebody added one.
        draft.refuse(
            column.name,
            f"and {', '.join(map(repr, known[1:]))}, stated as its earlier names, are both columns of the table",
            f"one of them: {_BY_HAND}, or take the earlier name out of the declaration, and both stay",
        )
        return None
    return known[0] if known else column.name


def _add(draft: Draft, steps: fields.Steps, wanted: NestedField) -> None:
    if wanted.required and draft.has_rows:
        draft.refuse(
            wanted.name,
            "is declared required and is not there; the table has rows, which lack it",
            "declare it without required=True, or make the table anew",
        )
        return
    added = {"doc": wanted.doc, "required": wanted.required}
    steps.append(methodcaller("add_column", wanted.name, wanted.field_type, **added))
    draft.change(ADD, wanted.name, str(wanted.field_type))


def _allow_null_in_others(
    draft: Draft, steps: fields.Steps, present: dict[str, NestedField], known: dict[str, str]
) -> None:
    claimed = {*known.values(), *(name for one in draft.declared.columns for name in (one.name, *one.earlier_names))}
    for name, field in present.items():
        if name in claimed or name.lower() in claimed:
            continue
        draft.left_alone.append(f"column {name}: not declared")
        if field.required:
            # Nobody fills it any more: every row to come would be refused.
            fields.allow_null(draft, steps, (name,), field, "no longer declared")


def _put_in_order(draft: Draft, steps: fields.Steps, present: dict[str, NestedField], known: dict[str, str]) -> None:
    if draft.refused:
        return
    new = [there for there in known.values() if there not in present]
    moved = fields.put_in_order(steps, (), [*present, *new], list(known.values()))
    fields.reordered(draft, [draft.shown((there,)) for there in moved if there in present])
