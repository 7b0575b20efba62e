"""Run a Spark job of the lakehouse. One operator; where the job runs is the runner's business."""

from __future__ import annotations

import itertools
import json
import random
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_lakehouse._compat import BaseOperator, default_deferrable, task_store
from airflow_lakehouse.assets import job_assets
from airflow_lakehouse.days import Days
from airflow_lakehouse.exceptions import ConfigurationError, JobError
from airflow_lakehouse.hooks.edge import airflow_errors
from airflow_lakehouse.hooks.lakehouse import DEFAULT_CONN_ID, LakehouseHook
from airflow_lakehouse.hooks.spark import JobHandle, JobState, JobStatus, SparkRunner, runner_named
from airflow_lakehouse.operators.outcome import job_failure, small_result
from airflow_lakehouse.triggers.spark_job import FIRST_WAIT, SparkJobTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.profile import Profile


class IcebergSparkOperator(BaseOperator):
    """Run a job such as ``raw_to_bronze`` or ``bronze_to_silver`` and report what it changed.

    A worker or triggerer that dies does not lose the job, in either mode: the next attempt finds it and waits on, or
    takes its result if it has ended meanwhile. An attempt after a *failed* job starts it again, and so does clearing
    the task.

    The result holds counts only: ``status``, ``run_id``, ``batch_id``, ``rows``, ``tables``, ``quarantine``,
    ``files``, ``job``, ``job_id``, ``runner``.

    :param job: name of the job. (templated)
    :param arguments: ``dt`` (``YYYY-MM-DD`` or ``FIRST..LAST``), ``source_system`` and ``max_bad_ratio`` (share of
        records that may be rejected, 0 to 1) for the job, ``reason`` for ``replay_quarantine``, ``full`` (make it anew,
        all of it or what ``dt`` and ``source_system`` name), ``as_of`` (a run, tag or time) and ``accept`` (checks
        whose failure does not keep silver from its readers) for ``bronze_to_silver``, ``policy`` for ``maintain``; all
        optional. (templated)
    :param lakehouse_conn_id: connection with the profile. (templated)
    :param runner: where the job runs; by default what the connection says.
    :param deferrable: wait in the triggerer and hold no worker; by default ``[operators] default_deferrable``.
    :param poll_seconds: longest wait between two looks at the job.
    :param job_timeout: when to stop the job and fail; by default ``execution_timeout``, else never.
    :param outlets: by default the assets of the tables the job may change.
    """

    template_fields = ("job", "arguments", "lakehouse_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"arguments": "json"}
    ui_color = "#cfe8dc"

    def __init__(  # noqa: PLR0913 - what users set; each has a default
        self,
        *,
        job: str,
        arguments: Mapping[str, Any] | None = None,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        runner: SparkRunner | None = None,
        deferrable: bool | None = None,
        poll_seconds: float = 5.0,
        job_timeout: timedelta | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("outlets", job_assets(job))
        super().__init__(**kwargs)
        self.job = job
        self.arguments = dict(arguments or {})
        self.lakehouse_conn_id = lakehouse_conn_id
        self.runner = runner
        self.deferrable = deferrable
        self.poll_seconds = poll_seconds
        self.job_timeout = job_timeout
        self._running: tuple[SparkRunner, JobHandle] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the job or find it again, wait for it, and return its counts.

        :param context: the task's context.
        """
        with airflow_errors():
            profile = LakehouseHook(self.lakehouse_conn_id).get_profile()
            runner = self.runner or runner_named(profile.runner)
            handle = self._attach(runner, profile, context)
            if handle is None:
                return self._spared(runner, context)
            self._running = (runner, handle)
            deadline = self._deadline()
            status = runner.status(handle)
        # Outside the block above: deferring is an exception too, and not ours to translate.
        if status.is_active and (default_deferrable() if self.deferrable is None else self.deferrable):
            trigger = SparkJobTrigger(handle.as_dict(), self.poll_seconds, deadline)
            self.defer(trigger=trigger, method_name=self.execute_complete.__name__)
        with airflow_errors():
            return self._finish(runner, handle, self._wait(runner, handle, deadline), context)

    def is_due(self, profile: Profile) -> bool:  # noqa: ARG002 - for operators that can tell without Spark
        """Tell whether the job has anything to do; asked where no job of an earlier attempt is found.

        :param profile: the lakehouse.
        """
        return True

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the trigger fired.

        :param context: the task's context.
        :param event: what :class:`SparkJobTrigger` yielded.
        """
        handle = JobHandle.from_dict(event["handle"])
        runner = self.runner or runner_named(handle.runner)
        self._running = (runner, handle)
        with airflow_errors():
            if event["status"] == "timeout":
                runner.cancel(handle)
            if event["status"] not in set(JobState):
                raise JobError(f"waiting for job {self.job!r} ended: {event['reason']} ({event['error_type']})")
            status = JobStatus(JobState(event["status"]), event["reason"], event["error_type"])
            return self._finish(runner, handle, status, context)

    def on_kill(self) -> None:
        """Stop the job with the task; a retry would otherwise run beside it."""
        if self._running:
            runner, handle = self._running
            runner.cancel(handle)

    def _attach(self, runner: SparkRunner, profile: Profile, context: Context) -> JobHandle | None:
        """Return the job of this task: the one that runs or has succeeded, else a new one; None where none is due."""
        store = task_store(context)
        for attempt in itertools.count():
            token = self._token(profile, context, attempt)
            stored = store.get(f"job_{token}") if store is not None else None
            handle = JobHandle.from_dict(stored) if stored else runner.find(token)
            if handle is None:
                if not self.is_due(profile):
                    return None
                handle = runner.submit(self.job, self._job_arguments(profile, context), token)
                if store is not None:
                    # Before any waiting: from here on the job is found again, whoever dies.
                    store.set(f"job_{token}", handle.as_dict())
                self.log.info("Started %s as job %s on runner %s", self.job, handle.job_id[:12], runner.name)
                return handle
            status = self._status_of_found(runner, handle)
            if status.is_active or status.state is JobState.SUCCEEDED:
                self.log.info("Found job %s of an earlier attempt: %s", handle.job_id[:12], status.state.value)
                return handle
        raise AssertionError  # pragma: no cover - itertools.count() does not end

    def _status_of_found(self, runner: SparkRunner, handle: JobHandle) -> JobStatus:
        try:
            return runner.status(handle)
        except JobError as error:
            # Its machine or directory is gone. Starting it again is safe: loads are exactly-once.
            self.log.warning("Job %s of an earlier attempt is lost: %s", handle.job_id[:12], error)
            return JobStatus(JobState.FAILED)

    def _token(self, profile: Profile, context: Context, attempt: int) -> str:
        """Return the same token for every attempt that should share a job.

        ``max_tries`` grows and the DAG run starts anew when somebody clears the task: that asks for a new job, a retry
        does not. ``attempt`` counts failed jobs. Arguments are left out, because a template may render the time.
        """
        ti, dag_run = context["ti"], context.get("dag_run")
        identity = [ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.max_tries, self.job, attempt]
        started = getattr(dag_run, "start_date", None)
        text = json.dumps([*identity, str(started), profile.as_dict()], sort_keys=True)
        return sha256(text.encode()).hexdigest()

    def _job_arguments(self, profile: Profile, context: Context) -> dict[str, Any]:
        legal = ("dt", "source_system", "max_bad_ratio", "reason", "full", "as_of", "accept", "policy")
        strangers = sorted(set(self.arguments) - set(legal))
        if strangers:
            raise ConfigurationError(f"job {self.job!r} takes no {', '.join(strangers)}", legal=", ".join(legal))
        # A template that finds nothing renders the text "None".
        given = {name: self.arguments.get(name) for name in legal}
        given = {name: None if value in ("", "None") else value for name, value in given.items()}
        if given["dt"] is not None:
            # Before a job is started that could only say the same.
            Days.parse(given["dt"])
        return {"profile": profile.as_dict(), "run_id": self._run_id(context), **given}

    def _run_id(self, context: Context) -> str:
        """Name the run after the DAG run; a cleared task is another run, and looks at everything again."""
        cleared = context["ti"].max_tries - (self.retries or 0)
        return f"{context['ti'].run_id}.{cleared}" if cleared > 0 else str(context["ti"].run_id)

    def _deadline(self) -> float | None:
        timeout = self.job_timeout or self.execution_timeout
        return time.time() + timeout.total_seconds() if timeout else None

    def _wait(self, runner: SparkRunner, handle: JobHandle, deadline: float | None) -> JobStatus:
        position, seconds = 0, min(FIRST_WAIT, self.poll_seconds)
        while True:
            status = runner.status(handle)
            lines, position = runner.follow_logs(handle, position)
            for line in lines:
                self.log.info("%s", line)
            if not status.is_active:
                return status
            if deadline is not None and time.time() > deadline:
                runner.cancel(handle)
                raise JobError(f"job {self.job!r} took longer than it may and was stopped", remedy="raise job_timeout")
            time.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311 - no secret depends on it
            seconds = min(seconds * 1.5, self.poll_seconds)

    def _finish(self, runner: SparkRunner, handle: JobHandle, status: JobStatus, context: Context) -> dict[str, Any]:
        self._running = None
        if status.state is not JobState.SUCCEEDED:
            raise job_failure(self.job, status)
        result = small_result(runner.result(handle))
        self._report(result, context)
        return {**result, "job": self.job, "job_id": handle.job_id, "runner": runner.name}

    def _spared(self, runner: SparkRunner, context: Context) -> dict[str, Any]:
        """Return the result of a job that had nothing to do, without it."""
        self.log.info("%s: nothing is due", self.job)
        result = small_result({"status": "unchanged", "run_id": self._run_id(context)})
        return {**result, "job": self.job, "job_id": "", "runner": runner.name}

    def _report(self, result: dict[str, Any], context: Context) -> None:
        counts = {name: table.get("rows") for name, table in result["tables"].items()}
        self.log.info("%s: tables %s, quarantine %s", self.job, counts, result["quarantine"])
        events = context.get("outlet_events")
        if events is None:
            return
        for asset in job_assets(self.job):
            name = str(asset.uri).rpartition("/")[2]
            if asset in self.outlets and name in result["tables"]:
                events[asset].extra = {"batch_id": result["batch_id"], **result["tables"][name]}
