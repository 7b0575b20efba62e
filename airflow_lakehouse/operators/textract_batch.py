"""What the operators that read with Amazon Textract share: save a batch, run or defer it, take what became of it."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_lakehouse import exceptions
from airflow_lakehouse._compat import BaseOperator, default_deferrable
from airflow_lakehouse.exceptions import JobError, LakehouseError
from airflow_lakehouse.hooks.edge import airflow_errors
from airflow_lakehouse.links import TextractReportLink, push_folder
from airflow_lakehouse.triggers.textract import TextractTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.ocr.store import DocumentToRead
    from airflow_lakehouse.ocr.textract.saved import SavedBatch

AWS_CONN_ID = "aws_conn_id"
"""Key of ``textract_options`` in the lakehouse connection that only Airflow knows: its AWS connection."""


class BatchOperator(BaseOperator):
    """What reads a batch with Textract, here or in the triggerer, and takes what became of it.

    :param deferrable: wait in the triggerer and hold no worker; by default ``[operators] default_deferrable``.
    :param job_timeout: when to give up; by default ``execution_timeout``, else never.
    """

    operator_extra_links = (TextractReportLink(),)

    def __init__(self, *, deferrable: bool | None = None, job_timeout: timedelta | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.job_timeout = job_timeout

    def read_batch(
        self,
        context: Context,
        documents: Sequence[DocumentToRead],
        saved: SavedBatch,
        settings: Mapping[str, Any],
        aws: dict[str, Any],
    ) -> dict[str, Any]:
        """Read documents, or defer until they are read; return counts.

        :param context: the task's context.
        :param documents: which.
        :param saved: where the batch is saved.
        :param settings: what is asked, and how.
        :param aws: arguments of the hook.
        """
        from airflow_lakehouse.hooks.textract import TextractHook

        timeout = self.job_timeout or self.execution_timeout
        deadline = time.time() + timeout.total_seconds() if timeout else None
        with airflow_errors():
            saved.save(documents, settings)
            folder = saved.folder
        push_folder(context, folder)
        self.log.info("Batch %s: %d documents", saved.batch_id, len(documents))
        if default_deferrable() if self.deferrable is None else self.deferrable:
            saved.service.close()
            trigger = TextractTrigger(saved.textract_dir, saved.batch_id, aws, deadline)
            self.defer(trigger=trigger, method_name=self.execute_complete.__name__)
        with airflow_errors():
            return self._report(TextractHook(**aws).run_batch(saved, deadline))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - Airflow
        """Go on after the trigger fired.

        :param context: the task's context.
        :param event: what :class:`TextractTrigger` yielded.
        """
        with airflow_errors():
            if event["status"] != "done":
                raise _error(event["error_type"], event["reason"])
            return self._report(event["counts"])

    def on_kill(self) -> None:
        """Say what goes on: Textract has no operation that stops a job."""
        self.log.info("Jobs that were started end by themselves; the next attempt takes what they find")

    def _report(self, counts: dict[str, Any]) -> dict[str, Any]:
        self.log.info("Documents: %s", counts)
        return counts


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the settings of a batch, and the AWS connection that the lakehouse connection may name beside them.

    :param options: ``textract_options`` of the connection.
    """
    settings = dict(options)
    aws_conn_id = settings.pop(AWS_CONN_ID, None)
    return settings, aws_conn_id


def aws_arguments(aws_conn_id: str | None, region_name: str | None) -> dict[str, Any]:
    """Return the arguments of the hook.

    :param aws_conn_id: AWS connection; None for the environment's credentials.
    :param region_name: Region.
    """
    given = {"aws_conn_id": aws_conn_id, "region_name": region_name}
    return {name: value for name, value in given.items() if value not in (None, "", "None")}


def batch_id_of(context: Context) -> str:
    """Return the name of a task's batch: the same for every attempt.

    :param context: of the task.
    """
    ti: Any = context["ti"]
    text = "\0".join(str(part) for part in (ti.dag_id, ti.run_id, ti.task_id, ti.map_index))
    return sha256(text.encode()).hexdigest()[:32]


def _error(error_type: str, reason: str) -> LakehouseError:
    """Return the error that ended a trigger, of the class it had: some are worth another attempt, and some are not."""
    kind = getattr(exceptions, error_type, JobError)
    return kind(reason) if issubclass(kind, LakehouseError) else JobError(f"{error_type}: {reason}")
