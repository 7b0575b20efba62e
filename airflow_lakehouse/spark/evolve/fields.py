"""Whether what a column holds can become what is declared, member by member, and how."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.evolve.changes import ADD, ALLOW_NULL, REORDER, REQUIRE, WIDEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyiceberg.table.update.schema import UpdateSchema
    from pyiceberg.types import IcebergType, NestedField, StructType

    from airflow_lakehouse.spark.evolve.changes import Draft

Path = tuple[str, ...]
Steps = list[Callable[["UpdateSchema"], object]]
"""What is done to the columns of a table; collected first, since PyIceberg copies its metadata when it begins."""
_WIDER: Final = "int to long, float to double, a decimal to one of more digits and the same scale"
_OTHERWISE: Final = "declare it as it is, or the new type under a new name"


def conform(draft: Draft, steps: Steps, path: Path, present: NestedField, wanted: NestedField) -> None:
    """Stage what makes a field as declared.

    :param draft: the plan.
    :param steps: what is to be staged.
    :param path: the field as the table knows it.
    :param present: what the table has.
    :param wanted: what is declared.
    """
    if present.required and not wanted.required:
        allow_null(draft, steps, path, present, "")
    elif wanted.required and not present.required:
        _require(draft, steps, path)
    _conform_type(draft, steps, path, (present.field_type, wanted.field_type))


def allow_null(draft: Draft, steps: Steps, path: Path, present: NestedField, detail: str) -> None:
    """Stage that a field may be null.

    :param draft: the plan.
    :param steps: what is to be staged.
    :param path: the field.
    :param present: what the table has.
    :param detail: why, if it is not declared so.
    """
    if present.field_id in draft.schema.identifier_field_ids:
        draft.refuse(
            draft.shown(path),
            "is one of the table's identifier fields, which are never null",
            "declare it with required=True, or take it out: ALTER TABLE ... DROP IDENTIFIER FIELDS",
        )
        return
    steps.append(methodcaller("make_column_optional", path))
    draft.change(ALLOW_NULL, draft.shown(path), detail)


def _require(draft: Draft, steps: Steps, path: Path) -> None:
    if draft.has_rows:
        draft.refuse(
            draft.shown(path),
            "may be null, and is declared required; the table has rows",
            "declare it without required=True",
        )
        return
    steps.append(methodcaller("update_column", path, required=True))
    draft.change(REQUIRE, draft.shown(path), "the table has no rows")


def _conform_type(draft: Draft, steps: Steps, path: Path, types: tuple[IcebergType, IcebergType]) -> None:
    from pyiceberg.types import ListType, MapType, StructType

    present, wanted = types
    if isinstance(present, StructType) and isinstance(wanted, StructType):
        _conform_members(draft, steps, path, (present, wanted))
    elif isinstance(present, ListType) and isinstance(wanted, ListType):
        _conform_type(draft, steps, (*path, "element"), (present.element_type, wanted.element_type))
    elif isinstance(present, MapType) and isinstance(wanted, MapType):
        # Of keys nothing may change but their name, which they do not have: two of them could become one.
        if present.key_type != wanted.key_type:
            _refuse_type(draft, (*path, "key"), present.key_type, wanted.key_type)
        _conform_type(draft, steps, (*path, "value"), (present.value_type, wanted.value_type))
    elif present != wanted:
        if not _widens(present, wanted):
            _refuse_type(draft, path, present, wanted)
            return
        steps.append(methodcaller("update_column", path, field_type=wanted))
        draft.change(WIDEN, draft.shown(path), f"{present} to {wanted}")


def _refuse_type(draft: Draft, path: Path, present: IcebergType, wanted: IcebergType) -> None:
    draft.refuse(draft.shown(path), f"is {present}, declared is {wanted}", f"{_WIDER}; or {_OTHERWISE}")


def _widens(present: IcebergType, wanted: IcebergType) -> bool:
    """Tell whether Iceberg reads files of one type as another.

    Not asked of PyIceberg: it also promotes text to bytes, which other engines refuse to read, and decimals to those of
    another scale, which it then reads a hundred times too small.
    """
    from pyiceberg.types import DecimalType, DoubleType, FloatType, IntegerType, LongType

    if isinstance(present, DecimalType) and isinstance(wanted, DecimalType):
        return present.scale == wanted.scale and present.precision < wanted.precision
    return (type(present), type(wanted)) in ((IntegerType, LongType), (FloatType, DoubleType))


def _conform_members(draft: Draft, steps: Steps, path: Path, types: tuple[StructType, StructType]) -> None:
    present, wanted = ({field.name: field for field in type_.fields} for type_ in types)
    for name in sorted(present.keys() - wanted.keys()):
        # Spark writes a struct whole: rows without a member of it could not be written any more.
        draft.refuse(
            draft.shown((*path, name)),
            "is a member the declaration lacks; members are neither dropped nor renamed",
            "declare it, and leave it null; or the new struct under a new name",
        )
    for name, field in wanted.items():
        if name in present:
            conform(draft, steps, (*path, name), present[name], field)
        else:
            steps.append(methodcaller("add_column", (*path, name), field.field_type, doc=field.doc))
            draft.change(ADD, draft.shown((*path, name)), str(field.field_type))
    if present.keys() <= wanted.keys():
        order = [*present, *(name for name in wanted if name not in present)]
        # Not for looks: Spark compares structs by the places of their members.
        moved = [name for name in put_in_order(steps, path, order, list(wanted)) if name in present]
        reordered(draft, [draft.shown((*path, name)) for name in moved])


def put_in_order(steps: Steps, path: Path, order: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Stage the order of some fields. Others among them stay where they are.

    :param steps: what is to be staged.
    :param path: what they are in; empty for columns.
    :param order: all fields, in the order they have.
    :param wanted: the declared ones, in the order they should have.
    :return: the fields that are moved.
    """
    moved = []
    for name, before, after in _moves(order, wanted):
        if before:
            steps.append(methodcaller("move_before", (*path, name), (*path, before)))
        else:
            steps.append(methodcaller("move_after", (*path, name), (*path, after)))
        moved.append(name)
    return moved


def reordered(draft: Draft, names: Sequence[str]) -> None:
    """Note what was there and is moved.

    :param draft: the plan.
    :param names: may be none.
    """
    if names:
        draft.change(REORDER, ", ".join(names), "to where the declaration has it")


def _moves(order: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield a field, and the one it goes before or behind: as few as there can be."""
    places = {name: place for place, name in enumerate(wanted)}
    line = [name for name in order if name in places]
    staying = _longest_ascent([places[name] for name in line])
    for name, place in places.items():
        if place not in staying:
            yield (name, "", wanted[place - 1]) if place else (name, line[0], "")


def _longest_ascent(numbers: Iterable[int]) -> set[int]:
    """Return the most numbers that can be left where they are while the others are put in between."""
    ascents: list[list[int]] = []
    for number in numbers:
        below = [ascent for ascent in ascents if ascent[-1] < number]
        ascents.append([*max(below, key=len, default=()), number])
    return set(max(ascents, key=len, default=()))
