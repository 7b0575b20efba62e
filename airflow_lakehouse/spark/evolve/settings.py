"""The properties of a table, as declared, where nobody has set them otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.evolve.changes import SET, UNSET
from airflow_lakehouse.spark.iceberg import declared
from airflow_lakehouse.spark.iceberg.declared import NOTE, Note, noted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse.spark.evolve.changes import Draft

_FORMAT: Final = "format-version"
"""Asks for a version when a table is made; what a table has is no property."""
_BY_COLUMN: Final = ".column."
"""Stands in the names of properties that are about one column, before its name."""


def stage(draft: Draft) -> None:
    """Stage the properties that a release declares otherwise than the one before it.

    A property is ours if it has the value we noted when we set it. Any other value is somebody's own, and stays.

    :param draft: the plan, columns and partition spec staged.
    """
    metadata, renamed = draft.metadata, draft.renamed
    present, before = metadata.properties, noted(metadata.properties)
    wanted = {name: value for name, value in declared.properties(draft.declared).items() if name != _FORMAT}
    setting = _of_renamed(present, renamed)
    ending = [name for name in present if _renamed(name, renamed) != name]
    for name, value in wanted.items():
        if name in present and present[name] != value and present[name] != before.properties.get(name):
            draft.left_alone.append(f"property {name}: set by somebody to {present[name]}")
        elif name not in present and name in before.properties:
            draft.left_alone.append(f"property {name}: taken away by somebody")
        elif present.get(name) != value:
            setting[name] = value
    ours = {name for name, value in before.properties.items() if name not in {*wanted, _FORMAT}}
    ending += sorted(name for name in ours if present.get(name) == before.properties[name])
    for name, value in sorted(setting.items()):
        draft.change(SET, name, f"{present[name]} to {value}" if name in present else value)
    for name in ending:
        draft.change(UNSET, name, f"was {present[name]}")
    kept = {name: value for name, value in before.properties.items() if name not in ours}
    after = Note({**kept, **{name: setting[name] for name in wanted if name in setting}}, _spec_id(draft, before))
    if after != before:
        setting[NOTE] = after.as_text()
    if setting:
        draft.transaction.set_properties(setting)
    if ending:
        draft.transaction.remove_properties(*ending)


def _spec_id(draft: Draft, before: Note) -> int:
    """Return the spec we leave: the one we left before, unless it is changed by us."""
    staged = draft.metadata.default_spec_id
    is_somebodys = any(one.startswith("partition spec") for one in draft.left_alone)
    return before.spec_id if is_somebodys else staged


def _of_renamed(present: Mapping[str, str], renamed: Mapping[str, str]) -> dict[str, str]:
    """Return the properties about renamed columns under their new names: Bloom filters and metrics go along."""
    return {_renamed(name, renamed): value for name, value in present.items() if _renamed(name, renamed) != name}


def _renamed(name: str, renamed: Mapping[str, str]) -> str:
    stem, between, column = name.partition(_BY_COLUMN)
    return f"{stem}{between}{renamed[column]}" if column in renamed else name
