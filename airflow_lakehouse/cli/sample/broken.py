"""Records that must end in quarantine, each with the reason it must get."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Final

DEFECTS: Final = {
    "TRUNCATED_JSON": b'{"resourceType":"Observation","id":"broken-truncated","status":"fin',
    "NOT_AN_OBJECT": b"this line is not JSON",
    "NO_RESOURCE_TYPE": b'{"id":"broken-typeless","status":"final"}',
    "INVALID_UTF8": b'{"resourceType":"Patient","id":"broken-bytes","name":[{"family":"\xff\xfe"}]}',
    "INVALID_JSON": b'{"resourceType":"Observation","id":"broken-nan","valueQuantity":{"value":NaN}}',
    "TRAILING_CONTENT": b'{"resourceType":"Patient","id":"broken-a"}{"resourceType":"Patient","id":"broken-b"}',
}
"""Reason a record must be rejected with, to the record."""


def broken_lines(count: int) -> list[tuple[str, bytes]]:
    """Return so many broken records, every kind in turn.

    :param count: how many.
    """
    return list(islice(cycle(DEFECTS.items()), count))
