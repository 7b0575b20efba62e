"""Wait for new versions of objects below an S3 prefix, each of which some run of the task gets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.hooks.object_versions import MAX_VERSIONS
from airflow_lakehouse.hooks.s3_events import HOLD_SECONDS, MAX_MESSAGES
from airflow_lakehouse.sensors.base import FindingSensor
from airflow_lakehouse.triggers.raw_drop import RawEventsTrigger, RawVersionsTrigger

if TYPE_CHECKING:
    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.hooks.looking import Finding

_log = logging.getLogger(__name__)
_RESULT = "return_value"


class RawVersionsSensor(FindingSensor):
    """Wait for new versions of objects, found by listing. The task goes on where its last successful run ended.

    Returns ``prefix``, ``versions`` (URIs with ``?versionId=`` where the bucket has versions, oldest first),
    ``objects``, ``bytes``, ``dt`` (the days in their paths), ``newest``, ``more`` (how many are left for the next run)
    and ``cursor``, by which the next run goes on.

    :param prefix: ``s3://bucket/prefix``. (templated)
    :param min_versions: how many there must be.
    :param max_versions: how many one run gets; the oldest come first.
    :param since: what was written before this moment does not count. (templated)
    :param overlap_seconds: how long an upload may take.
    :param aws_conn_id: Airflow's AWS connection; None takes what boto3 finds. (templated)
    """

    template_fields = ("prefix", "since", "aws_conn_id")
    ui_color = "#e6f1f2"
    trigger_class = RawVersionsTrigger
    lookback_seconds = None

    def __init__(  # noqa: PLR0913 - what users set; each has a default
        self,
        *,
        prefix: str,
        min_versions: int = 1,
        max_versions: int = MAX_VERSIONS,
        since: str | float | None = None,
        overlap_seconds: float = 86400.0,
        aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prefix = prefix
        self.min_versions = min_versions
        self.max_versions = max_versions
        self.since = since
        self.overlap_seconds = overlap_seconds
        self.aws_conn_id = aws_conn_id

    def cursor(self, context: Context) -> dict[str, Any] | None:
        """Return where the last successful run of this task ended, by its result.

        :param context: the task's context.
        """
        instance: Any = context.get("ti")
        if instance is None:
            return None
        last = instance.xcom_pull(
            task_ids=self.task_id, key=_RESULT, map_indexes=instance.map_index, include_prior_dates=True
        )
        return last.get("cursor") if isinstance(last, dict) else None

    def take(self, finding: Finding) -> dict[str, Any]:
        """Return what was found, and where the next run goes on."""
        return {**finding.found, "cursor": finding.cursor}


class RawEventsSensor(FindingSensor):
    """Wait for new versions of objects, told by S3's events in an SQS queue.

    Messages are deleted once the task has succeeded, and hidden until then: whatever dies before, its retry or the next
    run gets them again. What loads the versions must not mind getting one twice, as this package's jobs do not.

    Returns ``prefix``, ``versions`` (URIs with ``?versionId=`` where the bucket has versions), ``objects``, ``bytes``,
    ``dt`` (the days in their paths), ``newest``, ``messages`` and ``foreign`` (messages about something else, which are
    left alone).

    :param queue_url: the queue's URL; a queue of its own for each sensor. (templated)
    :param prefix: ``s3://bucket/prefix``. (templated)
    :param max_messages: how many messages one run gets.
    :param hold_seconds: how long they are hidden; longer than the task may wait for a worker after its trigger fired.
    :param aws_conn_id: Airflow's AWS connection; None takes what boto3 finds. (templated)
    """

    template_fields = ("queue_url", "prefix", "aws_conn_id")
    ui_color = "#e6f1f2"
    trigger_class = RawEventsTrigger

    def __init__(
        self,
        *,
        queue_url: str,
        prefix: str,
        max_messages: int = MAX_MESSAGES,
        hold_seconds: int = HOLD_SECONDS,
        aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.queue_url = queue_url
        self.prefix = prefix
        self.max_messages = max_messages
        self.hold_seconds = hold_seconds
        self.aws_conn_id = aws_conn_id
        self.taken: list[str] = []
        # After the task, not in it: of a worker that dies between the two, Airflow would not have the result, and SQS
        # no longer the messages. Set here and not handed on, or default_args would lose theirs.
        given = self.on_success_callback or []
        self.on_success_callback = [*(given if isinstance(given, list | tuple) else [given]), acknowledge_taken]

    def take(self, finding: Finding) -> dict[str, Any]:
        """Return what was found; keep its messages hidden until the task has succeeded."""
        self.look().hold(finding.receipts)
        self.taken = finding.receipts
        return finding.found


def acknowledge_taken(context: Context) -> None:
    """Delete the messages behind a result Airflow has stored; called when the task has succeeded.

    :param context: the task's context.
    """
    sensor: Any = context["task"]
    try:
        sensor.look().acknowledge(sensor.taken)
    except Exception as error:  # noqa: BLE001 - the task has succeeded; its messages come again, which is allowed
        _log.warning("SQS messages were not deleted and will come again: %s: %s", type(error).__name__, error)
