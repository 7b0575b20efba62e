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
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


class Node(Protocol):
    """A JSON value, or what is known of one."""

    @property
    def kind(self) -> str:
        """``object``, ``array``, ``string``, ``number``, ``boolean``, ``null`` or :data:`MIXED`."""

    def members(self) -> Iterable[tuple[str, Node]]:
        """Return name and value of an object's fields."""

    def elements(self) -> Iterable[tuple[str, Node]]:
        """Return place (as a FHIRPath writes it: ``[0]``) and value of an array's elements."""

    def extension_url(self) -> str | None:
        """Return the URL, if this is an extension and its values are known."""


@dataclass(frozen=True)
class Shape:
    """Names and kinds of one JSON value; a :class:`Node` without values.

    :param kind: as :attr:`Node.kind`.
    :param fields: of an object.
    :param element: of an array.
    """

    kind: str
    fields: tuple[tuple[str, Shape], ...] = ()
    element: Shape | None = None

    def members(self) -> Iterable[tuple[str, Shape]]:
        """Return the fields."""
        return self.fields

    def elements(self) -> Iterable[tuple[str, Shape]]:
        """Return what all elements together look like, at no place."""
        return () if self.element is None else (("", self.element),)

    def extension_url(self) -> None:
        """Return None: a shape has no values."""
        return


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
    seen = strangers((resource_type,), read_shape(shape), resource_type) if shape else ()
    # The type was told to be a name before; any other may be a person's.
    found = {
        ".".join((path[0], *(name if _NAME.fullmatch(name) else NOT_A_NAME for name in path[1:]))): value.kind
        for path, value in seen
    }
    # Some languages write a slash with a backslash before it.
    for url in (extensions or "").replace("\\/", "/").split():
        if _URL.fullmatch(url) and url not in KNOWN_EXTENSIONS:
            found[f"{resource_type}.extension('{url}')"] = "object"
    return found


Path = tuple[str, ...]
"""Names from the root on; one of an array is followed by its place, where that is known: ``name[0]``."""


def strangers(path: Path, value: Node, type_: str) -> Iterator[tuple[Path, Node]]:
    """Yield what R4 does not name in a value: unknown fields, fields of another kind, extensions nobody here reads.

    :param path: of the value.
    :param value: an object.
    :param type_: its FHIR type.
    """
    elements = _r4().get(type_)
    if elements is None:
        # A type R4 does not have, at the root; below it, what R4 leaves open: a contained resource.
        if len(path) == 1:
            yield path, value
        return
    for name, field in value.members():
        expected = _expected(elements, name)
        if expected is None:
            yield (*path, name), field
        elif name == "extension":
            yield from _extensions((*path, name), field)
        elif name != "modifierExtension":
            yield from _field((*path, name), field, expected)


def _extensions(path: Path, value: Node) -> Iterator[tuple[Path, Node]]:
    for place, element in value.elements():
        url = element.extension_url()
        if url is not None and url not in KNOWN_EXTENSIONS:
            yield _at(path, place), element


def _expected(elements: dict[str, str], name: str) -> str | None:
    """Return the type of a field; a primitive has a companion for its id and extensions (``_birthDate``)."""
    if name in elements:
        return elements[name]
    primitive = elements.get(name.removeprefix("_"), "")
    is_companion = name.startswith("_") and primitive.removesuffix("*") in _PRIMITIVES
    return f"Element{'*' if primitive.endswith('*') else ''}" if is_companion else None


def _field(path: Path, value: Node, expected: str) -> Iterator[tuple[Path, Node]]:
    if value.kind in ("null", MIXED):
        return
    if expected.endswith("*") != (value.kind == "array"):
        yield path, value
        return
    type_ = expected.removesuffix("*")
    for place, one in value.elements() if value.kind == "array" else (("", value),):
        if one.kind in ("null", MIXED):
            continue
        if one.kind != (type_ if type_ in _PRIMITIVES else "object"):
            yield _at(path, place), one
        elif type_ not in _PRIMITIVES:
            yield from strangers(_at(path, place), one, type_)


def _at(path: Path, place: str) -> Path:
    return (*path[:-1], f"{path[-1]}{place}")


@lru_cache(maxsize=1)
def _r4() -> dict[str, dict[str, str]]:
    """Return type to field to type, an array marked with ``*``; written by ``tools/fhir_elements.py``."""
    found: dict[str, dict[str, str]] = json.loads(resources.files(__package__).joinpath("r4_elements.json").read_text())
    return found
