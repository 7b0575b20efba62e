"""FHIR dates and times as Spark SQL expressions.

Everything here works on the text of the source. A date that is not one gives null, never an error, and a partial
date never becomes the first of January: https://hl7.org/fhir/R4/datatypes.html#dateTime.
"""

from __future__ import annotations

from typing import Final

from airflow_lakehouse.parsers.fhir.lift import END, IN_RANGE

BAD_TIME: Final = "BAD_TIME"
"""Flag: a date or time is not one; the column is null, the text is kept."""
_YEAR: Final = "(?!0000)[0-9]{4}"
_DAY: Final = f"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_DAY_LENGTH: Final = 10
_OFFSET_LENGTH: Final = 6
_OFFSET: Final = "(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"
_CLOCK: Final = "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_FULL: Final = f"^{IN_RANGE}{_DAY}{_CLOCK}([.][0-9]+)?{_OFFSET}{END}"
_FIRST: Final = "TIMESTAMP '0001-01-01 00:00:00Z'"
_LAST: Final = "TIMESTAMP '9999-12-31 23:59:59.999Z'"


def instant(text: str) -> str:
    """Return the instant of a dateTime: midnight UTC for a whole day; null for a partial or impossible one.

    An offset may carry the first or last day out of the years 1 to 9999, beyond which Python and most engines have no
    time: that is null, too.

    :param text: SQL expression of the text.
    """
    return (
        f"CASE WHEN length({text}) = {_DAY_LENGTH} THEN CASE WHEN {text} RLIKE '^{_DAY}{END}'"
        f" THEN try_cast({text} || 'T00:00:00Z' AS TIMESTAMP) END"
        f" WHEN {text} RLIKE '{_FULL}' THEN try_cast({text} AS TIMESTAMP) END"
    )


def date_precision(text: str) -> str:
    """Return how exactly a date tells a day: year, month or day; null for what is none, such as a date with a time.

    :param text: SQL expression of the text.
    """
    return f"CASE WHEN length({text}) <= {_DAY_LENGTH} THEN {precision(text)} END"


def day(text: str) -> str:
    """Return the day of a date; null for a partial or impossible one.

    :param text: SQL expression of the text.
    """
    return f"CASE WHEN {text} RLIKE '^{_DAY}{END}' THEN try_cast({text} AS DATE) END"


def precision(text: str, as_instant: str = "") -> str:
    """Return how exactly a text tells a time: year, month, day, second or fraction; null when it tells none.

    :param text: SQL expression of the text.
    :param as_instant: column that holds its instant already; a transform of many rows reads every text once.
    """
    return (
        f"CASE WHEN ({as_instant or instant(text)}) IS NOT NULL THEN"
        f" CASE WHEN length({text}) = {_DAY_LENGTH} THEN 'day'"
        f" WHEN instr({text}, '.') > 0 THEN 'fraction' ELSE 'second' END"
        f" WHEN {text} RLIKE '^{_YEAR}{END}' THEN 'year'"
        f" WHEN {text} RLIKE '^{_YEAR}-(?:0[1-9]|1[0-2]){END}' THEN 'month' END"
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
    return (
        f"CASE {precise} WHEN 'fraction' THEN {as_instant} WHEN 'second' THEN {as_instant} + INTERVAL 999 MILLISECONDS"
        f" ELSE CASE WHEN {precise} IS NOT NULL THEN {end} END END"
    )


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
    return f"CASE WHEN {text} RLIKE '^{_YEAR}(?:-[0-9]{{2}}){{0,2}}{END}' THEN {text} END"


def not_a_time(*texts: str) -> str:
    """Return the condition that one of these texts is there and tells no time.

    :param texts: SQL expressions.
    """
    return " OR ".join(f"({text} IS NOT NULL AND ({precision(text)}) IS NULL)" for text in texts)


def is_reversed(start: str, end: str) -> str:
    """Return the condition that a period ends before it starts, however exactly either is known.

    A period that ends on a day ends with it: https://hl7.org/fhir/R4/datatypes.html#Period. Two dates are told by
    their days alone, for whoever wrote them was in one place.

    :param start: SQL expression of its start.
    :param end: SQL expression of its end.
    """
    high = latest(end, f"({precision(end)})", f"({instant(end)})")
    low = earliest(start, f"({precision(start)})", f"({instant(start)})")
    return (
        f"CASE WHEN length({start}) <= {_DAY_LENGTH} AND length({end}) <= {_DAY_LENGTH}"
        f" THEN {last_day(end)} < {first_day(start)} ELSE {high} < {low} END"
    )
