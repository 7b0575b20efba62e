"""The loop behind triggers that look at something until it is there."""

from __future__ import annotations

import asyncio
import random
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow_lakehouse._compat import BaseTrigger, make_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_lakehouse._compat import TriggerEvent


class FindingTrigger(BaseTrigger):
    """Look, and fire once it is there, the time is up, or looking failed.

    :param poll_seconds: wait between two looks.
    :param deadline: when to give up, in seconds since the epoch; None never does.
    """

    def __init__(self, *, poll_seconds: float = 60.0, deadline: float | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow has no types here
        self.poll_seconds = poll_seconds
        self.deadline = deadline

    @abstractmethod
    def look(self) -> tuple[bool, dict[str, Any]]:
        """Look once, in a thread. Return whether it is there, and what was found."""

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the subclass, for :meth:`serialize`."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what builds this trigger again."""
        common = {"poll_seconds": self.poll_seconds, "deadline": self.deadline}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**self.arguments(), **common}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ``status`` (``found``, ``timeout`` or ``error``), ``found``, ``reason``, ``error_type``."""
        try:
            ready, found = await self._wait()
        except Exception as error:  # noqa: BLE001 - raised here, the task would only see "Trigger failure"
            yield self._event("error", {}, str(error), type(error).__name__)
        else:
            yield self._event("found" if ready else "timeout", found)

    async def _wait(self) -> tuple[bool, dict[str, Any]]:
        while True:
            ready, found = await asyncio.to_thread(self.look)
            if ready or (self.deadline is not None and time.time() > self.deadline):
                return ready, found
            # Jitter: a hundred sensors deferred by one scheduler loop must not ask all at once.
            await asyncio.sleep(self.poll_seconds * random.uniform(0.9, 1.1))  # noqa: S311 - no secret

    @staticmethod
    def _event(status: str, found: dict[str, Any], reason: str = "", error_type: str = "") -> TriggerEvent:
        return make_event({"status": status, "found": found, "reason": reason, "error_type": error_type})
