"""FHIR resources and data types as Spark SQL expressions: https://hl7.org/fhir/R4/datatypes.html.

Everything here works on the text of the source. Times and numbers have modules of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.parsers.fhir.lift import STRICT_JSON
from airflow_lakehouse.tables.bronze import RESCUED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CODING: Final = "STRUCT<system: STRING, code: STRING, display: STRING>"
CONCEPT: Final = f"STRUCT<coding: ARRAY<{CODING}>, text: STRING>"
PERIOD: Final = "STRUCT<start: STRING, `end`: STRING>"

BAD_FIELD: Final = "BAD_FIELD"
"""Flag: a field is not of the kind FHIR gives it; it is null here, its text is in bronze."""
ENTERED_IN_ERROR: Final = "ENTERED_IN_ERROR"
"""Flag: the source says that the record should not have been made. The row stays, and gives way to any other."""

# A number under the key "value" that nothing but a number can be: the key's opening quote is no escaped one, and the
# number ends where a member ends. Quoted, Spark reads it as text and keeps every digit. The look-behind stands after
# the word it is about: a pattern that begins with plain text is searched for ten times as fast.
_NUMBER: Final = "-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?"
_BARE_VALUE: Final = rf'"value"(?<!\\"value")(\s*:\s*)({_NUMBER})(?=\s*[,}}])'
_QUOTED_VALUE: Final = f'"value"([ ]*:[ ]*)"({_NUMBER})"'
# A key may be written with escapes; then it is written plainly before numbers are looked for.
_ESCAPED_VALUE: Final = r'"(?:v|\\u0076)(?:a|\\u0061)(?:l|\\u006[cC])(?:u|\\u0075)(?:e|\\u0065)"(?=\s*:)'


def read_body(rows: DataFrame, schema: str) -> DataFrame:
    """Add ``r``, the resource read with a schema; numbers under ``value`` are read as their exact text.

    A field at the root that is not of the kind R4 gives it is null, whatever Spark could make of it.

    :param rows: with ``body``, and ``_rescued``, which names those fields.
    :param schema: fields wanted, as a Spark schema string.
    """
    from pyspark.sql import functions as F

    body = F.col("body")
    plain = F.when(body.contains(r"\u00"), F.regexp_replace("body", _ESCAPED_VALUE, '"value"')).otherwise(body)
    exact = F.regexp_replace(plain, _BARE_VALUE, '"value"$1"$2"')
    read = rows.withColumn("r", F.from_json(exact, f"_corrupt STRING, {schema}", STRICT_JSON))
    return read.withColumn("r", F.when(F.col(RESCUED.name).isNull(), F.col("r")).otherwise(F.expr(_of_kind(schema))))


def _of_kind(schema: str) -> str:
    """Return ``r`` without the fields at its root that are of another kind."""
    fields = _top_names(schema)
    strange = f"json_object_keys({RESCUED.name})"
    kept = {
        name: f"CASE WHEN NOT array_contains({strange}, concat(resource_type, '.{name}')) THEN r.`{name}` END"
        for name in fields
    }
    any_ = " OR ".join(f"array_contains({strange}, concat(resource_type, '.{name}'))" for name in fields)
    corrupt = f"CASE WHEN {any_} THEN '{BAD_FIELD}' ELSE r._corrupt END"
    members = ", ".join(f"'{name}', {sql}" for name, sql in {"_corrupt": corrupt, **kept}.items())
    return f"named_struct({members})"


def _top_names(schema: str) -> list[str]:
    """Return the names of a schema's fields, leaving out those within them."""
    depth, names, start = 0, [], 0
    for place, letter in enumerate(f"{schema},"):
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "," and not depth:
            names.append(schema[start:place].split(maxsplit=1)[0].strip("`"))
            start = place + 1
    return names


def as_sent(text: str) -> str:
    """Return a JSON value that was read as text, without the quotes that :func:`read_body` gave its numbers.

    :param text: SQL expression.
    """
    return f"regexp_replace({text}, '{_QUOTED_VALUE}', '\"value\"$1$2')"


def preferred_coding(concept: str, systems: tuple[str, ...]) -> str:
    """Return the coding of the first of these systems, else the first coding with a code.

    :param concept: SQL expression of a CodeableConcept.
    :param systems: code systems in order of preference.
    """
    first = f"get({concept}.coding, 0)"
    of_system = [
        f"try_element_at(filter({concept}.coding, c -> c.system = '{system}' AND c.code IS NOT NULL), 1)"
        for system in systems
    ]
    any_ = f"try_element_at(filter({concept}.coding, c -> c.code IS NOT NULL), 1)"
    # Nearly every concept has its best coding first. Functions with a lambda are interpreted row by row, and cost more
    # than all the rest of a transform together.
    is_best = f"{first}.system = '{systems[0]}' AND " if systems else ""
    is_empty = f"size({concept}.coding) = 0 OR {concept}.coding IS NULL"
    slow = f"coalesce({', '.join([*of_system, any_])})"
    return f"CASE WHEN {is_best}{first}.code IS NOT NULL THEN {first} WHEN {is_empty} THEN NULL ELSE {slow} END"


def concept_text(concept: str, coding: str) -> str:
    """Return a CodeableConcept in words: its text, else the display of a coding.

    :param concept: SQL expression of a CodeableConcept.
    :param coding: SQL expression of the coding that was preferred.
    """
    return f"coalesce({concept}.text, {coding}.display)"


def entered_in_error(status: str) -> str:
    """Return the condition that a status withdraws the record.

    :param status: SQL expression of the status.
    """
    return f"{status} = 'entered-in-error'"


def flags(*conditions: tuple[str, str]) -> str:
    """Return the row's flags: those of bronze and those whose condition holds.

    :param conditions: SQL condition and code.
    """
    return with_codes(("r._corrupt IS NOT NULL", BAD_FIELD), *conditions)


def with_codes(*conditions: tuple[str, str]) -> str:
    """Return the flags of the row, and the codes whose condition holds.

    :param conditions: SQL condition and code.
    """
    # Removed rather than compacted: that has a lambda, and Spark would interpret all conditions for it, row by row.
    own = ", ".join(f"CASE WHEN {condition} THEN '{code}' ELSE '' END" for condition, code in conditions)
    return f"array_distinct(concat(flags, array_remove(array({own}), '')))"
