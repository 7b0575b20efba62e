"""Drive a batch of documents through Amazon Textract, in the triggerer."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from airflow_lakehouse._compat import BaseTrigger, make_event
from airflow_lakehouse.hooks.edge import said
from airflow_lakehouse.triggers import heap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_lakehouse._compat import TriggerEvent
    from airflow_lakehouse.ocr.textract.batch import Batch
    from airflow_lakehouse.ocr.textract.saved import SavedBatch


class TextractTrigger(BaseTrigger):
    """Read a batch of documents, and fire when every one has its outcome, or the time is up.

    Two triggerers may run it at once, and one may die at any time: the jobs that were started are in the ledger beside
    the results, and are found, not paid for again.

    :param textract_dir: root of the results.
    :param batch_id: the batch, as it is saved below it.
    :param aws: arguments of :class:`~airflow_lakehouse.hooks.textract.TextractHook`.
    :param deadline: when to give up, in seconds since the epoch; None never does.
    """

    def __init__(
        self, textract_dir: str, batch_id: str, aws: dict[str, Any] | None = None, deadline: float | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow has no types here
        self.textract_dir = textract_dir
        self.batch_id = batch_id
        self.aws = dict(aws or {})
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what builds this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "textract_dir": self.textract_dir,
                "batch_id": self.batch_id,
                "aws": self.aws,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ``status`` (``done`` or ``error``), ``counts``, ``reason``, ``error_type``."""
        heap.put_aside(heap.BEGUN)
        try:
            counts = await self._run()
        except Exception as error:  # noqa: BLE001 - raised here, the task would only see "Trigger failure"
            told = {"reason": said(error), "error_type": type(error).__name__}
            yield make_event({"status": "error", "counts": {}, **told})
        else:
            yield make_event({"status": "done", "counts": counts, "reason": "", "error_type": ""})

    async def on_kill(self) -> None:
        """Say what goes on: Textract has no operation that stops a job (Airflow 3.3 and newer)."""
        self.log.info("Jobs that were started end by themselves; the next run of batch %s takes them", self.batch_id)

    async def _run(self) -> dict[str, Any]:
        from airflow_lakehouse.hooks.textract import finish
        from airflow_lakehouse.ocr.textract.run import check_deadline, check_failures

        loop, changed, started = asyncio.get_running_loop(), asyncio.Event(), time.monotonic()
        # Clients are made and quotas read in a thread; from then on only decisions are made in the loop.
        saved, batch = await asyncio.to_thread(self._open, lambda: loop.call_soon_threadsafe(changed.set))
        heap.put_aside(heap.OPENED)
        try:
            while (wait := batch.advance()) is not None:
                check_deadline(self.deadline)
                try:
                    await asyncio.wait_for(changed.wait(), wait)
                except TimeoutError:
                    continue
                changed.clear()
            counts = await asyncio.to_thread(finish, saved, batch.report, started)
            check_failures(batch.report, batch.settings)
            return counts
        finally:
            # Not waited for: a triggerer that is told to stop has seconds, and threads end with their present request.
            threading.Thread(target=batch.close, name="textract-close").start()

    def _open(self, wake: Callable[[], object]) -> tuple[SavedBatch, Batch]:
        from airflow_lakehouse.hooks.textract import TextractHook
        from airflow_lakehouse.ocr.textract.saved import SavedBatch

        hook = TextractHook(**self.aws)
        saved = SavedBatch(hook.service(), self.textract_dir, self.batch_id)
        return saved, hook.open_batch(saved, wake)
