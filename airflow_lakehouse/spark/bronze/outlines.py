"""Records without what they say: their keys and kinds, as one regular expression leaves them.

A load has few outlines, however many records it has. What depends on keys and kinds alone is asked of each outline, and
not of each record: to read a record as JSON costs ten times what its outline does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyspark.sql import Column

# No JSON text has it: a control character must be written as an escape there.
_MARK: Final = "\x01"
_REST: Final = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
# What a record says: a text after its key, the text of a key (whose colon stays), a text in an array, a number. Whole
# strings are passed over, so nothing within one is taken for anything. Repetitions are possessive: Java's regular
# expressions recurse on others, and a payload would overflow the stack.
_VALUE: Final = rf'(:\s*+"){_REST}"|("{_REST})"(?=\s*+:)|("){_REST}"|-?[0-9][0-9.eE+-]*+'


def outline() -> Column:
    """Return the text in ``body`` without its values: a mark for each; keys stay as they were written."""
    from pyspark.sql import functions as F

    return F.regexp_replace("body", _VALUE, f"$1$2$3{_MARK}").alias("outline")


def drawn(column: str) -> Column:
    """Return what the records of one outline look like, as a variant with empty texts and zeros for their values.

    :param column: column with the outline; null, or of no JSON, gives null.
    """
    from pyspark.sql import functions as F

    texts = F.replace(F.col(column), F.lit(f'"{_MARK}'), F.lit('""'))
    keys = F.regexp_replace(texts, rf"{_MARK}(?=\s*+:)", '"')
    return F.try_parse_json(F.replace(keys, F.lit(_MARK), F.lit("0")))
