"""How many jobs run at once, and how many requests a second are sent: both found out by asking for more.

A full window and a throttled request are different things. ``LimitExceededException`` says that too many jobs run;
the others say that requests come too fast.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Final

from airflow_lakehouse.exceptions import JobError

_FIRST_WINDOW: Final = 50
_SLOWEST: Final = 0.1
"""Share of the most requests a second below which no throttling brings the rate: from less, it recovers for minutes."""
_FASTER: Final = 0.05
"""Share of them by which each answer raises the rate."""
_ONE_BURST: Final = 1.0
"""Seconds within which refusals tell the same."""


class Window:
    """How many jobs may be in flight: one more after each that ends well, half after each refusal.

    :param most: never more than this.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._size = float(min(most, _FIRST_WINDOW))
        self._generation = 0
        self._has_succeeded = True

    @property
    def size(self) -> int:
        """Jobs that may be in flight now; at least one."""
        return max(1, int(self._size))

    @property
    def generation(self) -> int:
        """Number that a start carries to :meth:`refused`."""
        return self._generation

    def succeeded(self) -> None:
        """Take note that a job has ended: there may be room for another one."""
        self._size = min(float(self.most), self._size + 1)
        self._has_succeeded = True

    def refused(self, generation: int, in_flight: int) -> None:
        """Take note that a start was refused because too many jobs run.

        Refusals of starts that were on their way when the window was last cut say nothing new; nor does any before one
        of the jobs that filled it has ended.

        :param generation: the window's when the start was sent.
        :param in_flight: jobs of ours that run.
        """
        if generation != self._generation or not self._has_succeeded:
            return
        self._generation += 1
        self._has_succeeded = in_flight == 0
        # Others may use the account too: what we have in flight is the most that is known to fit.
        self._size = max(1.0, min(self._size, in_flight + 1) / 2)


class Rate:
    """A token bucket that slows down when the service throttles, and recovers. Threads share it.

    :param most: requests a second.
    """

    def __init__(self, most: float) -> None:
        self.most = most
        self._rate = most
        self._tokens = max(1.0, most)
        self._at = time.monotonic()
        self._cut_at = 0.0
        self._lock = threading.Lock()

    @property
    def per_second(self) -> float:
        """Requests a second now."""
        return self._rate

    def take(self) -> float:
        """Take one request; return 0, or the seconds after which to ask again."""
        with self._lock:
            now = time.monotonic()
            # No more than a second's worth is saved up: a burst after a pause would be throttled.
            self._tokens = min(max(1.0, self._rate), self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens >= 1:
                self._tokens -= 1
                return 0.0
            return (1 - self._tokens) / self._rate

    def succeeded(self) -> None:
        """Take note that a request was answered."""
        with self._lock:
            self._rate = min(self.most, self._rate + self.most * _FASTER)

    def throttled(self) -> None:
        """Take note that a request was refused. Refusals within a second are of the same burst."""
        with self._lock:
            now = time.monotonic()
            if now - self._cut_at > _ONE_BURST:
                self._cut_at = now
                self._rate = max(_SLOWEST * self.most, self._rate / 2)
                self._tokens = min(self._tokens, 0.0)


_RATES: dict[tuple[str, str], Rate] = {}
_RATES_LOCK: Final = threading.Lock()


def shared_rate(service: str, operation: str, most: float) -> Rate:
    """Return the rate of an operation that all batches of this process share: the account has one quota for them.

    :param service: whose account it is: endpoint and credentials.
    :param operation: of the service.
    :param most: requests a second; the last to ask says.
    """
    with _RATES_LOCK:
        rate = _RATES.get((service, operation))
        if rate is None or rate.most != most:
            rate = _RATES[service, operation] = Rate(most)
        return rate


def backoff(failures: int, longest: float = 30.0) -> float:
    """Return the seconds to wait after so many failures in a row, with full jitter.

    :param failures: 1 or more.
    :param longest: bound of the wait.
    """
    return float(random.uniform(0.05, 1.0) * min(longest, 0.5 * 2.0 ** min(failures, 10)))  # noqa: S311 - no secret


class Pace:
    """How many jobs run at once, and how many requests are sent a second.

    :param window: of jobs.
    :param start: rate of Start requests.
    :param get: rate of Get requests.
    """

    def __init__(self, window: Window, start: Rate, get: Rate) -> None:
        self.window, self.start, self.get = window, start, get
        self._stopped = threading.Event()

    def wait(self) -> None:
        """Wait, in a thread, until another Get request may be sent.

        :raises JobError: when the batch was stopped.
        """
        while seconds := self.get.take():
            if self._stopped.wait(min(seconds, 1.0)):
                raise JobError("the batch was stopped", remedy="run it again; what was started is found")

    def stop(self) -> None:
        """Let nobody wait any longer."""
        self._stopped.set()
