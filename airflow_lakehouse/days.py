"""Days of a drop as they are written: one, or a range of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from airflow_lakehouse.exceptions import InputError

FORMS: Final = "YYYY-MM-DD|FIRST..LAST"
"""How days are given, for a usage line."""
_FORM: Final = r"\d{4}-\d\d-\d\d"
PATTERN: Final = rf"^({_FORM}(\.\.({_FORM})?)?|\.\.{_FORM})?$"
"""JSON schema pattern of a field that takes days, or nothing."""
_DAY: Final = re.compile(_FORM, re.ASCII)
_TO: Final = ".."
_LEGAL: Final = (
    "one day, YYYY-MM-DD; or a range with both ends in it, FIRST..LAST; or one with an open end, FIRST.. or ..LAST;"
    " such as 2026-01-15 or 2026-01-01..2026-01-31"
)


def as_day(text: str) -> date | None:
    """Return a day, or None for a text that is none.

    :param text: ``YYYY-MM-DD``; other forms of ISO 8601, such as weeks, name no partition.
    """
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Days:
    """One day, or a range of days with both ends in it.

    :param first: the first; None where the range has no beginning.
    :param last: the last; None where it has no end.
    """

    first: date | None
    last: date | None

    @classmethod
    def parse(cls, text: str) -> Days:
        """Return the days a text names.

        :param text: ``2026-01-15``, ``2026-01-01..2026-01-31``, ``2026-01-01..`` or ``..2026-01-31``.
        :raises InputError: for any other text, or a range that ends before it begins.
        """
        first, is_range, last = text.partition(_TO)
        ends = (first, last) if is_range else (first, first)
        days = [as_day(end) for end in ends]
        if not any(ends) or any(end and not day for end, day in zip(ends, days, strict=True)):
            raise InputError(f"dt {text!r} names no days", legal=_LEGAL)
        found = cls(*days)
        if found.first and found.last and found.first > found.last:
            raise InputError(f"dt {text!r} ends before it begins", legal=_LEGAL)
        return found

    @property
    def only(self) -> date | None:
        """The day, where it is one; None for a range of more."""
        return self.first if self.first == self.last else None

    def __contains__(self, day: date | None) -> bool:
        """Tell whether a day is among them; what has no day is not."""
        return day is not None and (self.first or day) <= day <= (self.last or day)

    def __str__(self) -> str:
        if self.only:
            return str(self.only)
        return f"{self.first or ''}{_TO}{self.last or ''}"
