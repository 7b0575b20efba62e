"""What silver will not read of a record, set apart as it was sent: bronze's column ``_rescued``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.parsers.fhir import json_spans
from airflow_lakehouse.parsers.fhir.drift import strangers

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS: Final = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One JSON value where it stands in a text; a :class:`airflow_lakehouse.parsers.fhir.drift.Node`.

    :param text: the record.
    :param place: index of the value's first character.
    """

    text: str
    place: int

    @property
    def kind(self) -> str:
        """What its first character says it is."""
        return _KINDS.get(self.text[self.place], "number")

    def members(self) -> Iterator[tuple[str, Sent]]:
        """Yield the fields; one that is there twice, twice."""
        if self.kind == "object":
            for name, place in json_spans.members(self.text, self.place):
                yield name, Sent(self.text, place)

    def elements(self) -> Iterator[tuple[str, Sent]]:
        """Yield the elements of an array, with their places."""
        if self.kind == "array":
            for number, span in enumerate(json_spans.elements(self.text, self.place)):
                yield f"[{number}]", Sent(self.text, span.start)

    def extension_url(self) -> str | None:
        """Return the URL, if there is one; an extension without any is as unknown as can be."""
        found = [json.loads(value.exact()) for name, value in self.members() if name == "url"]
        return str(found[-1]) if found else ""

    def exact(self) -> str:
        """Return the value, character by character as it was sent."""
        return json_spans.value_span(self.text, self.place).of(self.text)


def rescued(resource_type: str, body: str) -> str | None:
    """Return what R4 does not name in a record: a JSON object of path to value; None where there is nothing.

    The values are cut out, not written anew, so every digit of a number is there. Paths are FHIRPath's, with the place
    in each array: ``Patient.name[0].nick``. Of a type R4 does not have nothing is set apart: it is strange as a whole.

    :param resource_type: type of the record.
    :param body: its text.
    """
    try:
        found = [
            f"{json.dumps('.'.join(path))}: {value.exact()}"
            for path, value in strangers((resource_type,), Sent(body, json_spans.skip_blank(body, 0)), resource_type)
            if len(path) > 1 and isinstance(value, Sent)
        ]
    except json_spans.MalformedJsonError:
        # Spark's reader has found it to be JSON; what Python's cannot read of it is nested too deep to be looked at.
        return None
    return f"{{{', '.join(found)}}}" if found else None
