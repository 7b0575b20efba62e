"""How long to wait before a job is asked after again, and for how long a service that does not answer is forgiven.

The same rules in the worker and in the triggerer: :class:`Patience` counts, its user sleeps.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Final

from airflow_lakehouse.exceptions import EngineError

FIRST_WAIT: Final = 0.25
"""Seconds before the second look; waits grow from here to the poll interval, so that short jobs end soon."""
LONGEST_WAIT: Final = 300.0
"""Seconds at most between two looks at a service that does not answer."""
GIVE_UP_SECONDS: Final = 1800.0
"""Seconds without an answer after which waiting ends. The job itself may run on all the while."""
_GROWTH: Final = 1.5
_PASSING: Final = (EngineError, OSError)
"""What may pass by itself: throttling, a quota, credentials that are being renewed, a network that is down."""


@dataclass
class Patience:
    """Waits between looks at one job.

    :param poll_seconds: longest wait between two looks at a service that answers.
    :param deadline: when to give up, in seconds since the epoch; None waits as long as the job runs. It counts whatever
        the time was spent on: a service that throttles does not prolong it.
    :param give_up_seconds: how long the service may fail to answer.
    """

    poll_seconds: float
    deadline: float | None = None
    give_up_seconds: float = GIVE_UP_SECONDS
    _wait: float = field(init=False)
    _failures: int = field(init=False, default=0)
    _silent_since: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._wait = min(FIRST_WAIT, self.poll_seconds)

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.time() >= self.deadline

    def after_answer(self) -> float:
        """Return how many seconds to wait after the service has answered."""
        self._failures, wait = 0, self._wait
        self._wait = min(self._wait * _GROWTH, self.poll_seconds)
        return self._jittered(wait)

    def after_failure(self, error: Exception) -> float:
        """Return how many seconds to wait after the service has failed to answer: twice as long each time.

        :param error: what was raised; raised again when it does not pass by itself, or has not for too long.
        """
        now = time.monotonic()
        if not self._failures:
            self._silent_since = now
        self._failures += 1
        if not isinstance(error, _PASSING) or now - self._silent_since > self.give_up_seconds:
            raise error
        return self._jittered(min(max(self.poll_seconds, 1.0) * 2.0**self._failures, LONGEST_WAIT))

    def _jittered(self, wait: float) -> float:
        """Spread waits: a hundred tasks deferred by one scheduler loop must not ask all at once, and again."""
        wait *= random.uniform(0.8, 1.2)  # noqa: S311 - no secret depends on it
        return wait if self.deadline is None else min(wait, max(0.0, self.deadline - time.time()) + 0.01)
