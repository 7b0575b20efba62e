"""FHIR data types as Spark SQL expressions.

Everything here works on the text of the source. A date that is not one gives null, never an error, and a partial
date never becomes the first of January: https://hl7.org/fhir/R4/datatypes.html#dateTime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.parsers.fhir.lift import IN_RANGE, STRICT_JSON

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CODING: Final = "STRUCT<system: STRING, code: STRING, display: STRING>"
CONCEPT: Final = f"STRUCT<coding: ARRAY<{CODING}>, text: STRING>"
PERIOD: Final = "STRUCT<start: STRING, `end`: STRING>"

BAD_FIELD: Final = "BAD_FIELD"
"""Flag: a field is not of the kind FHIR gives it; it is null here, its text is in bronze."""
BAD_TIME: Final = "BAD_TIME"
"""Flag: a date or time is not one; the column is null, the text is kept."""
ENTERED_IN_ERROR: Final = "ENTERED_IN_ERROR"
"""Flag: the source says that the record should not have been made. The row stays, and gives way to any other."""

_YEAR: Final = "(?!0000)[0-9]{4}"
_DAY: Final = f"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_DAY_LENGTH: Final = 10
_OFFSET_LENGTH: Final = 6
_OFFSET: Final = "(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"
_CLOCK: Final = "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_FULL: Final = f"^{IN_RANGE}{_DAY}{_CLOCK}([.][0-9]+)?{_OFFSET}$"
_FIRST: Final = "TIMESTAMP '0001-01-01 00:00:00Z'"
_LAST: Final = "TIMESTAMP '9999-12-31 23:59:59.999Z'"
# A number under the key "value" that nothing but a number can be: the key's opening quote is no escaped one, and the
# number ends where a member ends. Quoted, Spark reads it as text and keeps every digit. The look-behind stands after
# the word it is about: a pattern that begins with plain text is searched for ten times as fast.
_BARE_VALUE: Final = r'"value"(?<!\\"value")\s*:\s*(-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?)(?=\s*[,}])'


def read_body(rows: DataFrame, schema: str) -> DataFrame:
    """Add ``r``, the resource read with a schema; numbers under ``value`` are read as their exact text.

    :param rows: with ``body``.
    :param schema: fields wanted, as a Spark schema string.
    """
    from pyspark.sql import functions as F

    exact = F.regexp_replace("body", _BARE_VALUE, '"value":"$1"')
    return rows.withColumn("r", F.from_json(exact, f"_corrupt STRING, {schema}", STRICT_JSON))


def instant(text: str) -> str:
    """Return the instant of a dateTime: midnight UTC for a whole day; null for a partial or impossible one.

    An offset may carry the first or last day out of the years 1 to 9999, beyond which Python and most engines have no
    time: that is null, too.

    :param text: SQL expression of the text.
    """
    return (
        f"CASE WHEN length({text}) = {_DAY_LENGTH} THEN CASE WHEN {text} RLIKE '^{_DAY}$'"
        f" THEN try_cast({text} || 'T00:00:00Z' AS TIMESTAMP) END"
        f" WHEN {text} RLIKE '{_FULL}' THEN try_cast({text} AS TIMESTAMP) END"
    )


def day(text: str) -> str:
    """Return the day of a date; null for a partial or impossible one.

    :param text: SQL expression of the text.
    """
    return f"CASE WHEN {text} RLIKE '^{_DAY}$' THEN try_cast({text} AS DATE) END"


def precision(text: str, as_instant: str = "") -> str:
    """Return how exactly a text tells a time: year, month, day, second or fraction; null when it tells none.

    :param text: SQL expression of the text.
    :param as_instant: column that holds its instant already; a transform of many rows reads every text once.
    """
    return (
        f"CASE WHEN ({as_instant or instant(text)}) IS NOT NULL THEN"
        f" CASE WHEN length({text}) = {_DAY_LENGTH} THEN 'day'"
        f" WHEN instr({text}, '.') > 0 THEN 'fraction' ELSE 'second' END"
        f" WHEN {text} RLIKE '^{_YEAR}$' THEN 'year'"
        f" WHEN {text} RLIKE '^{_YEAR}-(?:0[1-9]|1[0-2])$' THEN 'month' END"
    )


def first_day(text: str) -> str:
    """Return the first day a date of any precision allows.

    :param text: SQL expression of the text.
    """
    return f"try_cast(rpad({_date_part(text)}, 10, substr('0000-01-01', length({_date_part(text)}) + 1)) AS DATE)"


def last_day(text: str) -> str:
    """Return the last day a date of any precision allows.

    :param text: SQL expression of the text.
    """
    first = first_day(text)
    return (
        f"CASE length({_date_part(text)}) WHEN 4 THEN try_cast({_date_part(text)} || '-12-31' AS DATE)"
        f" WHEN 7 THEN last_day({first}) ELSE {first} END"
    )


def earliest(text: str, precise: str, as_instant: str) -> str:
    """Return the earliest instant a dateTime allows; without an offset, anywhere on Earth (UTC+14).

    The bounds are those of SQL-on-FHIR's ``lowBoundary`` and ``highBoundary``.

    :param text: SQL expression of the text.
    :param precise: column with its precision.
    :param as_instant: column with its instant.
    """
    start = f"greatest(try_cast(({first_day(text)}) AS TIMESTAMP) - INTERVAL 14 HOURS, {_FIRST})"
    return (
        f"CASE WHEN {precise} IN ('second', 'fraction') THEN {as_instant} WHEN {precise} IS NOT NULL THEN {start} END"
    )


def latest(text: str, precise: str, as_instant: str) -> str:
    """Return the latest instant a dateTime allows; without an offset, anywhere on Earth (UTC-12).

    :param text: SQL expression of the text.
    :param precise: column with its precision.
    :param as_instant: column with its instant.
    """
    day_after = f"try_cast(({last_day(text)}) AS TIMESTAMP) + INTERVAL '1 12:00:00' DAY TO SECOND"
    end = f"least({day_after} - INTERVAL 1 MILLISECOND, {_LAST})"
    return f"CASE WHEN {precise} IN ('second', 'fraction') THEN {as_instant} WHEN {precise} IS NOT NULL THEN {end} END"


def offset(text: str, precise: str) -> str:
    """Return the offset of a dateTime as it was sent: ``Z`` or ``+hh:mm``; null where it has none.

    :param text: SQL expression of the text.
    :param precise: SQL expression of its precision.
    """
    last = f"CASE WHEN endswith({text}, 'Z') THEN 'Z' ELSE right({text}, {_OFFSET_LENGTH}) END"
    return f"CASE WHEN {precise} IN ('second', 'fraction') THEN {last} END"


def time_columns(name: str, stem: str, text: str, said: str = "") -> dict[str, str]:
    """Return the instant of a dateTime, and what silver keeps beside it.

    :param name: of the column with the instant.
    :param stem: what the names of the others begin with.
    :param text: SQL expression of the text.
    :param said: SQL expression of what was sent, where that may be something else than a dateTime.
    """
    as_instant, precise = f"({instant(text)})", f"({precision(text)})"
    return {
        name: as_instant,
        f"{stem}_text": said or text,
        **time_details(stem, text, precise, as_instant),
    }


def time_details(stem: str, text: str, precise: str, as_instant: str) -> dict[str, str]:
    """Return precision, offset and bounds of a dateTime.

    :param stem: what their names begin with.
    :param text: SQL expression of the text.
    :param precise: SQL expression of its precision.
    :param as_instant: SQL expression of its instant.
    """
    return {
        f"{stem}_precision": precise,
        f"{stem}_offset": offset(text, precise),
        f"{stem}_low": earliest(text, precise, as_instant),
        f"{stem}_high": latest(text, precise, as_instant),
    }


def _date_part(text: str) -> str:
    return f"CASE WHEN {text} RLIKE '^{_YEAR}(?:-[0-9]{{2}}){{0,2}}$' THEN {text} END"


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
    every = (("r._corrupt IS NOT NULL", BAD_FIELD), *conditions)
    own = ", ".join(f"CASE WHEN {condition} THEN '{code}' END" for condition, code in every)
    return f"array_distinct(concat(flags, array_compact(array({own}))))"


def not_a_time(*texts: str) -> str:
    """Return the condition that one of these texts is there and tells no time.

    :param texts: SQL expressions.
    """
    return " OR ".join(f"({text} IS NOT NULL AND ({precision(text)}) IS NULL)" for text in texts)
