"""The loops behind triggers: one looks until it is there, the other goes on looking for what is new."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_lakehouse._compat import BaseEventTrigger, BaseTrigger, make_event
from airflow_lakehouse.hooks.edge import said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_lakehouse._compat import TriggerEvent
    from airflow_lakehouse.hooks.looking import Finding, Look

POLL_SECONDS: Final = 60.0
_LONGEST_WAIT: Final = 900.0
_SHORT_WAIT: Final = 5.0


class FindingTrigger(BaseTrigger):
    """Look, and fire once it is there, the time is up, or looking failed.

    :param poll_seconds: wait between two looks.
    :param deadline: when to give up, in seconds since the epoch; None never does.
    :param cursor: where an earlier look ended, for looks that find what is new.
    :param arguments: fields of the look, :attr:`look_class`.
    """

    look_class: ClassVar[type[Look]]

    def __init__(
        self,
        *,
        poll_seconds: float = POLL_SECONDS,
        deadline: float | None = None,
        cursor: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow has no types here
        self.looking_for = self.look_class(**arguments)
        self.poll_seconds = poll_seconds
        self.deadline = deadline
        self.cursor = cursor

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what builds this trigger again."""
        common = {"poll_seconds": self.poll_seconds, "deadline": self.deadline, "cursor": self.cursor}
        return _path(type(self)), {**self.looking_for.arguments(), **common}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event.

        It holds ``status`` (``found``, ``timeout`` or ``error``), ``found``, ``cursor``, ``receipts``, ``reason`` and
        ``error_type``.
        """
        event: dict[str, Any] = {"found": {}, "cursor": self.cursor, "receipts": [], "reason": "", "error_type": ""}
        try:
            finding = await self._wait()
        except Exception as error:  # noqa: BLE001 - raised here, the task would only see "Trigger failure"
            yield make_event({**event, "status": "error", "reason": said(error), "error_type": type(error).__name__})
        else:
            told = {"found": finding.found, "cursor": finding.cursor, "receipts": finding.receipts}
            yield make_event({**event, **told, "status": "found" if finding.ready else "timeout"})

    async def _wait(self) -> Finding:
        while True:
            finding = await asyncio.to_thread(self.looking_for.look, self.cursor)
            if finding.ready or (self.deadline is not None and time.time() > self.deadline):
                return finding
            await asyncio.sleep(_jittered(self.poll_seconds))


class WatchingTrigger(BaseEventTrigger):
    """Look for what is new for as long as an asset is watched: one event for each finding.

    Airflow does not say when it has stored an event. So a finding is settled one look after its event: messages are
    deleted, and where the watch has got to is kept in the asset's state store (Airflow 3.3 and newer). A triggerer that
    dies before that tells the same again; none is lost. Older Airflow keeps nothing of a watch: after a restart of the
    triggerer it goes back ``lookback_seconds``, and what was found in that time is told again.

    :param poll_seconds: wait between two looks.
    :param arguments: fields of the look, :attr:`look_class`.
    """

    look_class: ClassVar[type[Look]]
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, *, poll_seconds: float = POLL_SECONDS, **arguments: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow has no types here
        self.looking_for = self.look_class(**{**self.defaults, **arguments})
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what builds this trigger again."""
        return _path(type(self)), {**self.looking_for.arguments(), "poll_seconds": self.poll_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each finding: what the look tells."""
        cursor = await self._stored()
        unsettled: Finding | None = None
        wait = self.poll_seconds
        while True:
            finding = await self._try(cursor)
            if unsettled is not None:
                await self._settle(unsettled)
                unsettled = None
            if finding is None:
                # A watch that raises ends, and nothing starts it again: it goes on, and says why in the log.
                wait = min(wait * 2, max(_LONGEST_WAIT, self.poll_seconds))
            else:
                # What is left over of a backlog need not wait long.
                wait = min(self.poll_seconds, _SHORT_WAIT) if finding.found.get("more") else self.poll_seconds
                cursor = finding.cursor
                if finding.ready:
                    yield make_event(finding.found)
                    unsettled = finding
            await asyncio.sleep(_jittered(wait))

    async def _settle(self, finding: Finding) -> None:
        try:
            await asyncio.to_thread(self.looking_for.acknowledge, finding.receipts)
            if finding.cursor is not None:
                await asyncio.to_thread(self._state().set, self._key(), json.dumps(finding.cursor))
        except Exception as error:  # noqa: BLE001 - it is told again then, which is better than not watching
            self.log.debug("What was found is not settled: %s", _told(error))

    async def _try(self, cursor: dict[str, Any] | None) -> Finding | None:
        try:
            return await asyncio.to_thread(self.looking_for.look, cursor)
        except Exception as error:  # noqa: BLE001 - whatever library it came from
            self.log.warning("Looking failed and is tried again: %s", _told(error))
            return None

    async def _stored(self) -> dict[str, Any] | None:
        try:
            text = await asyncio.to_thread(self._state().get, self._key())
        except Exception as error:  # noqa: BLE001 - watching from an earlier place beats not watching
            self.log.info("Watching without a stored cursor: %s", _told(error))
            return None
        stored: dict[str, Any] | None = json.loads(text) if text else None
        return stored

    def _state(self) -> Any:
        """Return the state store of the asset; the triggerer sets it."""
        state = getattr(self, "asset_state_store", None)
        if state is None:
            raise LookupError("this Airflow keeps no state of assets")
        return state

    def _key(self) -> str:
        """Name the cursor by what is looked for: an asset may have several watchers."""
        arguments = json.dumps(self.looking_for.arguments(), sort_keys=True)
        return f"lakehouse_cursor_{hashlib.sha256(arguments.encode()).hexdigest()[:16]}"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {said(error)}"


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _jittered(seconds: float) -> float:
    # A hundred sensors deferred by one scheduler loop must not ask all at once.
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - no secret depends on it
