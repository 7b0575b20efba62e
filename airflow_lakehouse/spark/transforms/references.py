"""FHIR references as Spark SQL expressions: what kind each is, and which resource it names.

Every form of https://hl7.org/fhir/R4/references.html has a kind of its own. Only a relative or absolute reference, and
a urn that the record's Bundle resolves, names a resource that other tables can hold; a contained resource has an id
that nothing outside its parent knows, and a search or an identifier names none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.parsers.fhir.lift import END

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

REFERENCE: Final = "STRUCT<reference: STRING, type: STRING, identifier: STRING, display: STRING>"
CONTAINED: Final = "contained ARRAY<STRUCT<resourceType: STRING, id: STRING>>"
"""Field a resource's schema needs for the types of contained resources to be known."""

BAD_REFERENCE: Final = "BAD_REFERENCE"
"""Flag: a reference is in none of FHIR's forms; its text is in bronze."""

RELATIVE: Final = "relative"
ABSOLUTE: Final = "absolute"
URN: Final = "urn"
CONTAINED_KIND: Final = "contained"
CONDITIONAL: Final = "conditional"
LOGICAL: Final = "logical"
DISPLAY: Final = "display"
MISSING: Final = "missing"
INVALID: Final = "invalid"
_NAMING: Final = (RELATIVE, ABSOLUTE, URN)

_PLAIN: Final = f"^[A-Z][A-Za-z]+/[A-Za-z0-9.-]+{END}"
# Ids are taken as they come, like those of the resources: a reference to an id that is over-long still finds it.
_NAMED: Final = f"^(?:([^?#]*)/)?([A-Z][A-Za-z]+)/([^/?#| \n\r\t]+)(?:/_history/([^/?#| \n\r\t]+))?{END}"
_BASE, _TYPE, _ID, _VERSION = 1, 2, 3, 4
_SEARCH: Final = "^(?:[^?#]*/)?([A-Z][A-Za-z]+)[?]"
_SCHEME: Final = "^[A-Za-z][A-Za-z0-9+.-]*://"


def with_references(read: DataFrame, elements: Mapping[str, str]) -> DataFrame:
    """Add references in a projection of their own, so that what is built on them reads every text once.

    :param read: rows with ``r`` and ``bundle_refs``.
    :param elements: name of the new column to the SQL expression of a :data:`REFERENCE`.
    """
    return read.selectExpr("*", *(f"{reference(sql)} AS `{name}`" for name, sql in elements.items()))


def reference(element: str) -> str:
    """Return a reference as ``kind, type, id, base, version``; never null.

    ``base`` is what stands before ``Type/id``; ``type`` is the text's, else that of ``Reference.type``, or of the
    contained resource; a urn that nothing resolves keeps its uuid or oid as id, and has a type only if it says one.

    :param element: SQL expression of a :data:`REFERENCE`; the row has ``bundle_refs``, and ``r`` with
        :data:`CONTAINED`.
    """
    text = f"{element}.reference"
    plain = _struct(f"'{RELATIVE}'", f"substring_index({text}, '/', 1)", f"substring_index({text}, '/', -1)")
    # Nearly all references are plain, and patterns with groups cost more than the rest of a transform together.
    return f"CASE WHEN {text} RLIKE '{_PLAIN}' THEN {plain} ELSE {_any_form(element, text)} END"


def _any_form(element: str, text: str) -> str:
    named = f"coalesce(try_element_at(bundle_refs, {text}), {text})"
    is_named = f"{named} RLIKE '{_NAMED}'"
    is_urn = f"{text} LIKE 'urn:%'"
    said = f"substring_index({element}.type, '/', -1)"
    inside = f"try_element_at(filter(r.contained, c -> concat('#', c.id) = {text}), 1).resourceType"

    def part(group: int) -> str:
        return f"CASE WHEN {is_named} THEN nullif(regexp_extract({named}, '{_NAMED}', {group}), '') END"

    nothing = (
        f"CASE WHEN {element}.identifier IS NOT NULL THEN '{LOGICAL}'"
        f" WHEN {element}.display IS NOT NULL THEN '{DISPLAY}' ELSE '{MISSING}' END"
    )
    kind = (
        f"CASE WHEN coalesce({text}, '') = '' THEN {nothing} WHEN {text} LIKE '#%' THEN '{CONTAINED_KIND}'"
        f" WHEN {is_urn} THEN '{URN}' WHEN {text} RLIKE '{_SEARCH}' THEN '{CONDITIONAL}'"
        f" WHEN {text} RLIKE '{_SCHEME}' THEN '{ABSOLUTE}' WHEN {is_named} THEN '{RELATIVE}' ELSE '{INVALID}' END"
    )
    type_ = (
        f"CASE WHEN {text} LIKE '#%' THEN coalesce({inside}, {said})"
        f" WHEN {text} RLIKE '{_SEARCH}' THEN regexp_extract({text}, '{_SEARCH}', 1)"
        f" ELSE coalesce({part(_TYPE)}, {said}) END"
    )
    id_ = (
        f"CASE WHEN {text} LIKE '#%' THEN nullif(substr({text}, 2), '') WHEN {text} RLIKE '{_SEARCH}' THEN NULL"
        f" ELSE coalesce({part(_ID)}, CASE WHEN {is_urn} THEN substring_index({text}, ':', -1) END) END"
    )
    return _struct(kind, type_, id_, part(_BASE), part(_VERSION))


def named_id(reference_column: str, resource_type: str) -> str:
    """Return the id of the resource that a reference names, if it is of that type.

    :param reference_column: column or expression from :func:`reference`.
    :param resource_type: such as ``Patient``.
    """
    right = f"{reference_column}.type = '{resource_type}' AND {names_a_resource(reference_column)}"
    return f"CASE WHEN {right} THEN {reference_column}.id END"


def names_a_resource(reference_column: str) -> str:
    """Return the condition that a reference names a resource which other tables can hold.

    :param reference_column: column or expression from :func:`reference`.
    """
    return f"{reference_column}.kind IN ({', '.join(repr(kind) for kind in _NAMING)})"


def is_bad(*reference_columns: str) -> str:
    """Return the condition that one of these references is in no legal form.

    :param reference_columns: columns from :func:`reference`.
    """
    return " OR ".join(f"{column}.kind = '{INVALID}'" for column in reference_columns)


def _struct(kind: str, type_: str, id_: str, base: str = "NULL", version: str = "NULL") -> str:
    fields = {"kind": kind, "type": type_, "id": id_, "base": base, "version": version}
    return (
        f"named_struct({', '.join(f'{chr(39)}{name}{chr(39)}, CAST({sql} AS STRING)' for name, sql in fields.items())})"
    )
