"""What a record has that FHIR R4 does not name: unknown fields, fields of another kind, extensions nobody here reads.

A record is told by its shape: names and kinds, no values, as Spark's ``schema_of_variant`` writes them. A load has few
shapes, however many records it has. Names come from the source and may be anything, a patient's too, so a name that
does not look like one of FHIR's is not repeated.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN_EXTENSIONS: Final = frozenset(
    f"http://hl7.org/fhir/us/core/StructureDefinition/us-core-{name}" for name in ("race", "ethnicity", "birthsex")
)
"""Extensions that silver reads."""
NOT_A_NAME: Final = "<name>"
"""Stands in a path for a key that is no name FHIR could have."""
MIXED: Final = "mixed"
"""Kind of a field that is of several kinds in one record's array."""

_NAME: Final = re.compile(r"_?[A-Za-z][A-Za-z0-9_-]{0,63}")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,200}")
_KINDS: Final = {"STRING": "string", "BOOLEAN": "boolean", "VOID": "null", "VARIANT": MIXED}
_NUMBER: Final = "number"
_PRIMITIVES: Final = ("string", "boolean", _NUMBER)
_MAX_DEPTH: Final = 100
_TOKEN: Final = re.compile(r"`(?:[^`]|``)*`|[^<>,:\s(]+(?:\(\d+,\d+\))?|[<>,:]")


@dataclass(frozen=True)
class Shape:
    """Names and kinds of one JSON value.

    :param kind: ``object``, ``array``, ``string``, ``number``, ``boolean``, ``null`` or :data:`MIXED`.
    :param fields: of an object.
    :param element: of an array.
    """

    kind: str
    fields: tuple[tuple[str, Shape], ...] = ()
    element: Shape | None = None


def read_shape(text: str) -> Shape:
    """Return a shape from what Spark writes: ``OBJECT<a: ARRAY<STRING>, b: BIGINT>``.

    :param text: of ``schema_of_variant``; what is nested deeper than any resource is left out.
    """
    tokens = _TOKEN.findall(text)
    shape, _ = _value(tokens, 0, 0)
    return shape


def _value(tokens: list[str], place: int, depth: int) -> tuple[Shape, int]:
    word = tokens[place]
    if depth > _MAX_DEPTH and word in ("ARRAY", "OBJECT"):
        return Shape(MIXED), _end(tokens, place + 1)
    if word == "ARRAY":
        element, place = _value(tokens, place + 2, depth + 1)
        return Shape("array", element=element), place + 1
    if word != "OBJECT":
        return Shape(_KINDS.get(word, _NUMBER)), place + 1
    fields = []
    place += 2
    while tokens[place] != ">":
        name = tokens[place]
        value, after = _value(tokens, place + 2, depth + 1)
        fields.append((name[1:-1].replace("``", "`") if name.startswith("`") else name, value))
        place = after + 1 if tokens[after] == "," else after
    return Shape("object", tuple(fields)), place + 1


def _end(tokens: list[str], place: int) -> int:
    """Return the place after the bracket that closes the one at ``place``."""
    opened = 0
    while True:
        opened += {"<": 1, ">": -1}.get(tokens[place], 0)
        place += 1
        if not opened:
            return place


def unknown_fields(resource_type: str, shape: str | None, extensions: str | None = None) -> dict[str, str]:
    """Return the paths R4 does not name, to the JSON kind found there.

    A field of another kind than R4 gives it counts, too: an array where there should be an object is what a resource of
    another FHIR version looks like. What lies below an unknown field is not told apart.

    :param resource_type: of the record.
    :param shape: its shape; None where it is not known.
    :param extensions: URLs of its extensions, with spaces between.
    """
    found = dict(_walk(resource_type, read_shape(shape), resource_type)) if shape else {}
    for url in (extensions or "").split():
        if _URL.fullmatch(url) and url not in KNOWN_EXTENSIONS:
            found[f"{resource_type}.extension('{url}')"] = "object"
    return found


def _walk(path: str, shape: Shape, type_: str) -> Iterator[tuple[str, str]]:
    elements = _r4().get(type_)
    if elements is None:
        # A type R4 does not have, at the root; below it, what R4 leaves open: a contained resource.
        if "." not in path:
            yield path, shape.kind
        return
    for name, value in shape.fields:
        expected = _expected(elements, name)
        own = f"{path}.{name if _NAME.fullmatch(name) else NOT_A_NAME}"
        if expected is None:
            yield own, value.kind
        elif name not in ("extension", "modifierExtension"):
            yield from _field(own, value, expected)


def _expected(elements: dict[str, str], name: str) -> str | None:
    """Return the type of a field; a primitive has a companion for its id and extensions (``_birthDate``)."""
    if name in elements:
        return elements[name]
    primitive = elements.get(name.removeprefix("_"), "")
    is_companion = name.startswith("_") and primitive.removesuffix("*") in _PRIMITIVES
    return f"Element{'*' if primitive.endswith('*') else ''}" if is_companion else None


def _field(path: str, shape: Shape, expected: str) -> Iterator[tuple[str, str]]:
    if shape.kind in ("null", MIXED):
        return
    type_ = expected.removesuffix("*")
    if expected.endswith("*") != (shape.kind == "array"):
        yield path, shape.kind
        return
    value = shape.element or shape
    if value.kind in ("null", MIXED):
        return
    right = value.kind == type_ if type_ in _PRIMITIVES else value.kind == "object"
    if not right:
        yield path, value.kind
    elif type_ not in _PRIMITIVES:
        yield from _walk(path, value, type_)


@lru_cache(maxsize=1)
def _r4() -> dict[str, dict[str, str]]:
    """Return type to field to type, an array marked with ``*``; written by ``tools/fhir_elements.py``."""
    found: dict[str, dict[str, str]] = json.loads(resources.files(__package__).joinpath("r4_elements.json").read_text())
    return found
