"""What sensors and triggers share: an object that looks once, on a worker and in the triggerer alike.

A look holds what to look for, as JSON values, and nothing that is open. A sensor makes one after its templates are
rendered; a trigger carries its arguments through Airflow's database and makes it again. So both modes run one code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final

from airflow_lakehouse.exceptions import ConfigurationError

MILLISECONDS: Final = 1000
NOTHING: Final = (None, "", "None")
"""What a template renders to that finds no value."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found.

    :param ready: whether it is there.
    :param found: JSON values, small enough for XCom.
    :param cursor: where the next look goes on, for looks that find what is new; None for the others.
    :param receipts: what :meth:`Look.acknowledge` takes, for looks that hold something until the finding was taken.
    """

    ready: bool
    found: dict[str, Any] = field(default_factory=dict)
    cursor: dict[str, Any] | None = None
    receipts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Look(ABC):
    """Something that can be looked for. Subclasses are frozen dataclasses whose fields are JSON values."""

    @abstractmethod
    def look(self, cursor: dict[str, Any] | None = None) -> Finding:
        """Look once; blocking.

        :param cursor: where an earlier look ended; None looks from the beginning.
        """

    def hold(self, receipts: list[str]) -> None:
        """Keep what a finding holds from others a while longer. Most looks hold nothing.

        :param receipts: of the finding.
        """
        del receipts

    def acknowledge(self, receipts: list[str]) -> None:
        """Let go of what a finding holds: somebody has taken it, and nobody may get it again.

        :param receipts: of the finding.
        """
        del receipts

    def arguments(self) -> dict[str, Any]:
        """Return the fields, as JSON values; the class makes the same look of them again."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def milliseconds(moment: float | str | None) -> int | None:
    """Return a moment in milliseconds since the epoch; None where none is named.

    :param moment: ISO 8601, as templates give it (without a zone it is UTC); or seconds since the epoch.
    :raises ConfigurationError: when it is neither.
    """
    if moment in NOTHING:
        return None
    try:
        return round(float(moment) * MILLISECONDS)
    except ValueError:
        pass
    try:
        parsed = datetime.fromisoformat(str(moment))
    except ValueError as error:
        raise ConfigurationError(
            f"{moment!r} is no moment", legal="such as 2026-01-15T06:00:00Z, or seconds since the epoch"
        ) from error
    return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * MILLISECONDS)


def iso(moment_ms: float | None) -> str | None:
    """Return a moment as ISO 8601 in UTC.

    :param moment_ms: milliseconds since the epoch.
    """
    return None if moment_ms is None else datetime.fromtimestamp(moment_ms / MILLISECONDS, UTC).isoformat()
