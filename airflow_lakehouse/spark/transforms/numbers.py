"""FHIR decimals as Spark SQL expressions: exact, or null. https://hl7.org/fhir/R4/datatypes.html#decimal."""

from __future__ import annotations

from typing import Final

from airflow_lakehouse.parsers.fhir.lift import END

SCALE: Final = 12
TYPE: Final = f"DECIMAL(38,{SCALE})"
_PLAIN: Final = f"^-?[0-9]+(?:[.][0-9]{{1,{SCALE}}})?{END}"
_NUMBER: Final = f"^-?[0-9]+(?:[.][0-9]+)?(?:[eE][+-]?[0-9]{{1,9}})?{END}"


def is_number(text: str) -> str:
    """Return the condition that a text is a number as JSON writes it.

    :param text: SQL expression.
    """
    return f"{text} RLIKE '{_NUMBER}'"


def exact(text: str) -> str:
    """Return the number, or null where a digit of it would be lost.

    A cast rounds to the scale without a word: 1e-13 would be 0. So the digits behind the point are counted, those
    that an exponent moves there included.

    :param text: SQL expression.
    """
    mantissa = f"regexp_replace({text}, '[eE].*', '')"
    digits = f"regexp_replace({mantissa}, '[-.]', '')"
    behind = f"length(regexp_extract({mantissa}, '[.]([0-9]*)', 1))"
    zeros = f"(length({digits}) - length(rtrim('0', {digits})))"
    exponent = f"coalesce(try_cast(regexp_extract({text}, '[eE]([+-]?[0-9]{{1,9}})', 1) AS INT), 0)"
    # Of zero nothing is lost, however many digits it is written with.
    fits = f"({behind} - {zeros} - {exponent} <= {SCALE} OR rtrim('0', {digits}) = '')"
    return (
        f"CASE WHEN {text} RLIKE '{_PLAIN}' THEN try_cast({text} AS {TYPE})"
        f" WHEN {is_number(text)} AND {fits} THEN try_cast({text} AS {TYPE}) END"
    )
