"""Why a text is not JSON, as far as it can be told from what stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.parsers.fhir.reasons import (
    COMMENT_IN_JSON,
    CONTROL_CHARACTER,
    INVALID_JSON,
    NOT_A_JSON_NUMBER,
    TOO_DEEP,
)

if TYPE_CHECKING:
    from pyspark.sql import Column

MAX_DEPTH: Final = 1_000
"""Levels of nesting that Spark's JSON reader goes down to."""

# Every repetition is possessive: Java's regular expressions recurse on others, and a payload would overflow the stack.
_CONTROL: Final = r"\x00-\x1f"
_STRING: Final = rf'"[^"\\{_CONTROL}]*+(?:\\[^{_CONTROL}][^"\\{_CONTROL}]*+)*+"'
_DEEP: Final = rf"(?:[\[{{][^\[\]{{}}]*+){{{MAX_DEPTH}}}"
_CONTROL_IN_STRING: Final = rf'"[^"{_CONTROL}]*+[{_CONTROL}]'
_STRAY_CONTROL: Final = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
_COMMENT: Final = "/[/*]"
_NUMBER: Final = r"[:\[,]\s*+(?:[-+]?(?:NaN|Infinity)|[-+]?[.][0-9]|[+][0-9]|-?0[0-9xX]|-?[0-9]++[.](?![0-9]))"


def why_not_json(text: Column) -> Column:
    """Return the reason code of a text that is not JSON.

    It is what the text has outside its strings, or as control characters within them, that JSON does not have. Where
    there is nothing of the kind it is just ``INVALID_JSON``.

    :param text: not JSON; https://www.rfc-editor.org/rfc/rfc8259.
    """
    from pyspark.sql import functions as F

    bare = F.regexp_replace(text, _STRING, "")
    return (
        F.when(bare.rlike(_DEEP), F.lit(TOO_DEEP))
        .when(bare.rlike(_STRAY_CONTROL) | bare.rlike(_CONTROL_IN_STRING), F.lit(CONTROL_CHARACTER))
        .when(bare.rlike(_COMMENT), F.lit(COMMENT_IN_JSON))
        .when(bare.rlike(_NUMBER), F.lit(NOT_A_JSON_NUMBER))
        .otherwise(F.lit(INVALID_JSON))
    )
