"""Records that must end in quarantine, and one kind that must not: it is loaded and carries a flag."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of broken record.

    :param code: reason it must be rejected with, or the flag it must carry.
    :param template: its bytes, with a place for a number that tells it from others of its kind.
    :param is_loaded: whether bronze keeps it, with the flag.
    """

    code: str
    template: bytes
    is_loaded: bool = False

    def line(self, number: int) -> bytes:
        """Return the bytes of a record.

        :param number: tells it from others of its kind.
        """
        return self.template % number


# The codes are spelled out although parsers.fhir.reasons has them: this is what a drop says of itself, and tests
# compare the two. Taken from there, a parser that mixes up two codes would still agree with its sample.
DEFECTS: Final = (
    Defect("TRUNCATED_JSON", b'{"resourceType":"Observation","id":"broken-%d","status":"fin'),
    Defect("NOT_AN_OBJECT", b"this line is not JSON, number %d"),
    Defect("NO_RESOURCE_TYPE", b'{"id":"broken-%d","status":"final"}'),
    Defect("INVALID_UTF8", b'{"resourceType":"Patient","id":"broken-%d","name":[{"family":"\xff\xfe"}]}'),
    Defect("INVALID_JSON", b'{"resourceType":"Observation","id":"broken-%d","valueQuantity":{"value":NaN}}'),
    Defect(
        "TRAILING_CONTENT",
        b'{"resourceType":"Patient","id":"broken-%d"}{"resourceType":"Patient","id":"broken-second"}',
    ),
    Defect(
        "MISSING_ID",
        b'{"resourceType":"Patient","gender":"unknown","birthDate":"1900","multipleBirthInteger":%d}',
        True,
    ),
)
"""Every kind, in the order in which a sample takes them in turn."""

CUT_OFF: Final = Defect("TRUNCATED_JSON", b'{"resourceType":"Condition","id":"cut-off-%d","code":{"te')
"""What a file ends in whose transfer stopped: half a record, and no end of line."""


def defects() -> Iterator[tuple[Defect, bytes]]:
    """Yield broken records without end, every kind in turn."""
    for number in count():
        defect = DEFECTS[number % len(DEFECTS)]
        yield defect, defect.line(number)
