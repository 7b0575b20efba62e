"""Asking after many jobs from one triggerer: few threads, a budget of calls, one call for many jobs where there is one.

A triggerer runs hundreds of triggers on one event loop. A call to a service blocks, so it runs in a thread; a thread
per trigger would starve the loop, and a call per trigger and second the service. All triggers of a loop share one
:class:`Poller`.
"""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, runtime_checkable
from weakref import WeakKeyDictionary

from airflow_lakehouse._compat import conf
from airflow_lakehouse.hooks.spark import JobState, JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from airflow_lakehouse.hooks.spark import JobHandle, SparkRunner

THREADS: Final = 4
"""Calls at a time. Each holds Python's lock while it reads an answer, and the loop waits for that lock."""
PER_SECOND: Final = 20.0
"""Calls a second, unless ``[lakehouse] polls_per_second`` says otherwise."""
_LOG_SECONDS: Final = 10.0
_LOG_SHARE: Final = 0.25
"""How often a job's log is read, and the share of the budget that all logs together may take."""
_GATHER_SECONDS: Final = 0.5
"""How long a question waits for others that one call can answer with it."""

_T = TypeVar("_T")


@runtime_checkable
class AnswersMany(Protocol):
    """A runner whose service tells of many jobs in one call."""

    def running(self, handles: Sequence[JobHandle]) -> Collection[str]:
        """Tell which of many jobs have not ended, in few calls.

        :param handles: jobs with one location.
        :return: ids of those that have not; the others are asked after one by one.
        """
        ...


class Poller:
    """The calls of one event loop.

    :param threads: calls at a time.
    :param per_second: calls a second.
    """

    def __init__(self, threads: int = THREADS, per_second: float = PER_SECOND) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="lakehouse-poll")
        self._interval = 1.0 / per_second
        self._next = 0.0
        self._watchers = 0
        self._waiting: dict[str, dict[JobHandle, asyncio.Future[bool]]] = {}
        self._gathering: set[asyncio.Task[None]] = set()

    @property
    def log_seconds(self) -> float:
        """How long to wait before a job's log is read again; the longer, the more jobs are watched."""
        return max(_LOG_SECONDS, self._watchers * self._interval / _LOG_SHARE)

    @contextmanager
    def watching(self) -> Iterator[Poller]:
        """Count whoever watches a job, as long as it does."""
        self._watchers += 1
        try:
            yield self
        finally:
            self._watchers -= 1

    async def call(self, runner: SparkRunner, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call a blocking function of a runner in a thread, when it is its turn.

        :param runner: what it asks; one that looks at this machine alone costs no service anything.
        :param function: what to call.
        :param arguments: its arguments.
        """
        if not getattr(runner, "is_near", False):
            now = time.monotonic()
            turn = self._next = max(now, self._next + self._interval)
            await asyncio.sleep(turn - now)
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def status(self, runner: SparkRunner, handle: JobHandle) -> JobStatus:
        """Tell where a job stands.

        :param runner: what runs it.
        :param handle: the job.
        :raises LakehouseError: see :meth:`SparkRunner.status`.
        """
        if not isinstance(runner, AnswersMany):
            return await self.call(runner, runner.status, handle)
        key = json.dumps([runner.name, runner.options(), handle.location], sort_keys=True, default=str)
        waiting = self._waiting.setdefault(key, {})
        if not waiting:
            task = asyncio.ensure_future(self._answer(key, runner))
            # The loop keeps only weak references to tasks.
            self._gathering.add(task)
            task.add_done_callback(self._gathering.discard)
        future = waiting.setdefault(handle, asyncio.get_running_loop().create_future())
        # Shielded: a trigger that is cancelled must not take the answer from another that asks after the same job.
        if await asyncio.shield(future):
            return JobStatus(JobState.RUNNING)
        # It has ended, or was started after the list was made: its own answer tells, and why.
        return await self.call(runner, runner.status, handle)

    async def _answer(self, key: str, runner: Any) -> None:
        await asyncio.sleep(_GATHER_SECONDS)
        waiting = self._waiting.pop(key)
        try:
            running = set(await self.call(runner, runner.running, list(waiting)))
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, not to the loop
            for future in waiting.values():
                if not future.done():
                    future.set_exception(error)
                    # Whoever asked may be gone; an exception that nobody collects is not worth a warning.
                    future.exception()
            return
        for handle, future in waiting.items():
            if not future.done():
                future.set_result(handle.job_id in running)


def poller() -> Poller:
    """Return the poller of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _POLLERS.get(loop)
    if found is None:
        per_second = conf.getfloat("lakehouse", "polls_per_second", fallback=PER_SECOND)
        found = _POLLERS[loop] = Poller(per_second=max(per_second, 0.1))
    return found


_POLLERS: WeakKeyDictionary[asyncio.AbstractEventLoop, Poller] = WeakKeyDictionary()
