"""FHIR dates and times as Spark SQL expressions.

Everything here works on the text of the source. A date that is not one gives null, never an error, and a partial
date never becomes the first of January: https://hl7.org/fhir/R4/datatypes.html#dateTime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.parsers.fhir.lift import END, as_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

BAD_TIME: Final = "BAD_TIME"
"""Flag: a date or time is not one; the column is null, the text is kept."""
_YEAR: Final = "(?!0000)[0-9]{4}"
_DAY: Final = f"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_DAY_LENGTH: Final = 10
_OFFSET_LENGTH: Final = 6
_OFFSET: Final = "(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"
_CLOCK: Final = "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)"
_FULL: Final = f"^{_DAY}{_CLOCK}([.][0-9]+)?{_OFFSET}{END}"
_FIRST: Final = "TIMESTAMP '0001-01-01 00:00:00Z'"
_LAST: Final = "TIMESTAMP '9999-12-31 23:59:59.999Z'"


def instant(text: str) -> str:
    """Return the instant of a dateTime: midnight UTC for a whole day; null for a partial or impossible one.

    :param text: SQL expression of the text.
    """
    return (
        f"CASE WHEN length({text}) = {_DAY_LENGTH} THEN CASE WHEN {text} RLIKE '^{_DAY}{END}'"
        f" THEN try_cast({text} || 'T00:00:00Z' AS TIMESTAMP) END"
        f" WHEN {text} RLIKE '{_FULL}' THEN {as_timestamp(text)} END"
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


def with_times(read: DataFrame, texts: Mapping[str, str]) -> DataFrame:
    """Add text, instant and precision of dateTimes, for :func:`time_columns`, :func:`not_a_time` and the like.

    One projection after the other: what is built on them matches every text once, and not once a column.

    :param read: rows with ``r``.
    :param texts: what the names of a time's columns begin with, to the SQL expression of its text.
    """
    stems = list(texts)
    said = read.selectExpr("*", *(f"{sql} AS {_text(stem)}" for stem, sql in texts.items()))
    told = said.selectExpr("*", *(f"{instant(_text(stem))} AS {_instant(stem)}" for stem in stems))
    return told.selectExpr("*", *(f"{precision(_text(stem), _instant(stem))} AS {_precise(stem)}" for stem in stems))


def time_columns(name: str, stem: str, said: str = "") -> dict[str, str]:
    """Return the instant of a dateTime, and what silver keeps beside it.

    :param name: of the column with the instant.
    :param stem: of a time from :func:`with_times`; what the names of the others begin with.
    :param said: SQL expression of what was sent, where that may be something else than a dateTime.
    """
    told = (_text(stem), _precise(stem), _instant(stem))
    return {
        name: _instant(stem),
        f"{stem}_text": said or _text(stem),
        f"{stem}_precision": _precise(stem),
        f"{stem}_offset": offset(_text(stem), _precise(stem)),
        f"{stem}_low": earliest(*told),
        f"{stem}_high": latest(*told),
    }


def is_exact(stem: str) -> str:
    """Return the condition that a time is known to the second.

    :param stem: of a time from :func:`with_times`.
    """
    return f"{_precise(stem)} IN ('second', 'fraction')"


def _text(stem: str) -> str:
    return f"_{stem}_said"


def _instant(stem: str) -> str:
    return f"_{stem}_at"


def _precise(stem: str) -> str:
    return f"_{stem}_precise"


def _date_part(text: str) -> str:
    return f"CASE WHEN {text} RLIKE '^{_YEAR}(?:-[0-9]{{2}}){{0,2}}{END}' THEN {text} END"


def not_a_time(*stems: str) -> str:
    """Return the condition that one of these texts is there and tells no time.

    :param stems: of times from :func:`with_times`.
    """
    return " OR ".join(f"({_text(stem)} IS NOT NULL AND {_precise(stem)} IS NULL)" for stem in stems)


def is_reversed(start: str, end: str) -> str:
    """Return the condition that a period ends before it starts, however exactly either is known.

    A period that ends on a day ends with it: https://hl7.org/fhir/R4/datatypes.html#Period. Two dates are told by
    their days alone, for whoever wrote them was in one place.

    :param start: stem of its start, a time from :func:`with_times`.
    :param end: stem of its end.
    """
    first, last = _text(start), _text(end)
    high = latest(last, _precise(end), _instant(end))
    low = earliest(first, _precise(start), _instant(start))
    return (
        f"CASE WHEN length({first}) <= {_DAY_LENGTH} AND length({last}) <= {_DAY_LENGTH}"
        f" THEN {last_day(last)} < {first_day(first)} ELSE {high} < {low} END"
    )
