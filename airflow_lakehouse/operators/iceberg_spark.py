"""Run a Spark job of the lakehouse. One operator; where the job runs is the runner's business."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_lakehouse._compat import (
    BaseOperator,
    TaskDeferralError,
    TaskDeferralTimeout,
    default_deferrable,
    is_timeout,
    task_store,
)
from airflow_lakehouse.assets import job_assets, table_of
from airflow_lakehouse.days import Days
from airflow_lakehouse.exceptions import ConfigurationError, JobTimeoutError, LakehouseError
from airflow_lakehouse.hooks.edge import airflow_errors
from airflow_lakehouse.hooks.lakehouse import LakehouseHook
from airflow_lakehouse.hooks.profile import DEFAULT_CONN_ID
from airflow_lakehouse.hooks.spark import JobHandle, JobState, JobStatus, runner_of
from airflow_lakehouse.hooks.spark.patience import Patience
from airflow_lakehouse.links import LINKS, named_links, push_links
from airflow_lakehouse.operators import shipped_code
from airflow_lakehouse.operators.lineage import operator_lineage
from airflow_lakehouse.operators.outcome import JobOutcome, error_class, job_failure
from airflow_lakehouse.operators.report import report_assets
from airflow_lakehouse.operators.task_job import RERUN, REUSE, Found, Identity, TaskJob
from airflow_lakehouse.triggers.spark_job import ERROR, TIMEOUT, SparkJobTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.hooks.spark import SparkRunner
    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.triggers.spark_job import JobEvent


class IcebergSparkOperator(BaseOperator):
    """Run a job such as ``raw_to_bronze``, or a function or script of your own, and report what it changed.

    A worker or triggerer that dies does not lose the job, in either mode: the next attempt finds it and waits on, or
    takes its result if it has ended meanwhile. An attempt after a *failed* job starts it again, and so does clearing
    the task. A task that is killed or whose time is up takes its job with it.

    The result is a :class:`~airflow_lakehouse.operators.outcome.JobOutcome` as JSON values: counts, names and snapshot
    ids. A failure is an Airflow exception that also is of the class in :mod:`airflow_lakehouse.exceptions` the job
    ended with, so that a retry policy can tell a quota from a wrong input.

    :param job: name of a job; ``module:function``; a function, which is shipped as its source; or the path or URI of a
        script. A function gets a session on the lakehouse and then its arguments, and returns a small dict or nothing;
        see :mod:`airflow_lakehouse.spark.user_code`. (templated, unless it is a function)
    :param arguments: ``dt`` (``YYYY-MM-DD`` or ``FIRST..LAST``), ``source_system`` and ``max_bad_ratio`` (share of
        records that may be rejected, 0 to 1) for the job, ``reason`` for ``replay_quarantine``, ``full`` (make it anew,
        all of it or what ``dt`` and ``source_system`` name), ``as_of`` (a run, tag or time) and ``accept`` (checks
        whose failure does not keep silver from its readers) for ``bronze_to_silver``, ``policy`` for ``maintain``; all
        optional. For code of your own, its named arguments. (templated)
    :param lakehouse_conn_id: connection with the profile. (templated)
    :param runner: where the job runs, a runner or the name of one; by default what the connection says. (templated)
    :param runner_options: what the runner is built with, over what the connection says. (templated)
    :param deferrable: wait in the triggerer and hold no worker; by default ``[operators] default_deferrable``.
    :param wait_for_completion: whether to wait at all.
    :param poll_seconds: longest wait between two looks at the job.
    :param waiter_delay: the same, under the name operators of the Amazon provider have for it.
    :param waiter_max_attempts: how often to look; as there, this times ``waiter_delay`` is a ``job_timeout``.
    :param job_timeout: when to stop the job and fail, counted from its start whatever attempt waits for it; by default
        ``execution_timeout``, else never.
    :param on_clear: ``rerun`` starts the job again when the task is cleared; ``reuse`` takes one that has succeeded.
    :param outlets: by default the assets of the tables the job may change. For code of your own, the tables whose
        snapshots are reported.
    """

    template_fields: tuple[str, ...] = ("job", "arguments", "lakehouse_conn_id", "runner", "runner_options")
    template_fields_renderers: ClassVar[dict[str, str]] = {"arguments": "json", "runner_options": "json"}
    operator_extra_links = LINKS
    ui_color = "#cfe8dc"

    def __init__(  # noqa: PLR0913 - what users set; each has a default
        self,
        *,
        job: str | Callable[..., Any],
        arguments: Mapping[str, Any] | None = None,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        runner: SparkRunner | str | None = None,
        runner_options: Mapping[str, Any] | None = None,
        deferrable: bool | None = None,
        wait_for_completion: bool = True,
        poll_seconds: float = 5.0,
        waiter_delay: float | None = None,
        waiter_max_attempts: int | None = None,
        job_timeout: timedelta | None = None,
        on_clear: str = RERUN,
        **kwargs: Any,
    ) -> None:
        # Not in a template field: Airflow would call a function it finds there.
        self.job_function = job if callable(job) else None
        name = job if isinstance(job, str) else getattr(job, "__name__", "")
        kwargs.setdefault("outlets", job_assets(name))
        super().__init__(**kwargs)
        self.job = name
        self.arguments = dict(arguments or {})
        self.lakehouse_conn_id = lakehouse_conn_id
        self.runner = runner
        self.runner_options = runner_options
        self.deferrable = deferrable
        self.wait_for_completion = wait_for_completion
        self.poll_seconds = poll_seconds if waiter_delay is None else waiter_delay
        self.job_seconds = job_timeout.total_seconds() if job_timeout else None
        if self.job_seconds is None and waiter_max_attempts is not None:
            self.job_seconds = waiter_max_attempts * self.poll_seconds
        if on_clear not in (RERUN, REUSE):
            raise ConfigurationError(f"on_clear is {on_clear!r}", legal=f"{RERUN}, {REUSE}")
        self.on_clear = on_clear
        self.job_links: dict[str, str] = {}
        self._task_job: TaskJob | None = None
        self._killed = False
        self._lineage: tuple[Profile, JobOutcome | None] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the job or find it again, wait for it, and return its counts.

        :param context: the task's context.
        """
        with airflow_errors():
            profile = self.get_profile()
            task_job = self._job_of_task(profile, context)
            found = task_job.find(is_first=self._is_first(context)) or self._start(task_job, profile, context)
            if found is None:
                return self._spared(context)
            runner, handle = task_job.runner, found.handle
            self._push_links(runner, handle, context)
            deadline = self._deadline(found.started, context)
            lines, position = runner.follow_logs(handle, 0)
            self._log_lines(lines)
        if not self.wait_for_completion:
            return replace(JobOutcome.of(handle, {"run_id": self._run_id(context)}), status="running").as_dict()
        # Outside the blocks around it: deferring is an exception too, and not ours to translate.
        if found.status.is_active and (default_deferrable() if self.deferrable is None else self.deferrable):
            trigger = SparkJobTrigger(handle.as_dict(), runner.options(), self.poll_seconds, deadline, position)
            self.defer(trigger=trigger, method_name=self.execute_complete.__name__)
        with airflow_errors():
            try:
                status = self._wait(task_job, handle, deadline, position)
            except (LakehouseError, OSError) as error:
                # A retry finds the job again, if its time is not up; after the last attempt nobody would come back.
                if isinstance(error, JobTimeoutError) or not self._has_retries(context):
                    self._stop(task_job)
                raise
            return self._finish(task_job, status, context)

    def is_due(self, profile: Profile) -> bool:  # noqa: ARG002 - for operators that can tell without Spark
        """Tell whether the job has anything to do; asked where no job of an earlier attempt is found.

        :param profile: the lakehouse.
        """
        return True

    def execute_complete(self, context: Context, event: JobEvent) -> dict[str, Any]:
        """Go on after the trigger fired.

        :param context: the task's context.
        :param event: what :class:`SparkJobTrigger` yielded.
        """
        with airflow_errors():
            task_job = self._job_of_task(self.get_profile(), context)
            handle = task_job.handle = JobHandle.from_dict(event["handle"])
            self._push_links(task_job.runner, handle, context)
            if event["status"] == TIMEOUT:
                self._stop(task_job)
                raise JobTimeoutError(f"job {self.job!r} was stopped: {event['reason']}", remedy="raise job_timeout")
            if event["status"] == ERROR:
                raise self._lost_sight(task_job, event, context)
            status = JobStatus(
                JobState(event["status"]),
                event["reason"],
                event["error_type"],
                event.get("service_state", ""),
                event.get("attempt", 1),
            )
            return self._finish(task_job, status, context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral, also where Airflow itself ended it: then its job is not left behind.

        :param next_method: the method Airflow calls.
        :param next_kwargs: its arguments.
        :param context: the task's context.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralError, TaskDeferralTimeout) as error:
            # A trigger that timed out, or could not be started. A retry would find the job, if there is one to come.
            if is_timeout(error) or not self._has_retries(context):
                with airflow_errors():
                    task_job = self._job_of_task(self.get_profile(), context)
                    task_job.find()
                    self._stop(task_job)
            raise

    def on_kill(self) -> None:
        """Stop the job with the task; a retry would otherwise run beside it."""
        self._killed = True
        if self._task_job is not None:
            self._stop(self._task_job)

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the job could run: the connection can be read, and its runner used.

        :return: whether all is well, and one sentence.
        """
        try:
            return self._runner(self.get_profile()).test_connection()
        except LakehouseError as error:
            return False, str(error)

    def get_profile(self) -> Profile:
        """Return the lakehouse, with this task's runner."""
        profile = LakehouseHook(self.lakehouse_conn_id).get_profile()
        if isinstance(self.runner, str) and self.runner != profile.runner:
            profile = replace(profile, runner=self.runner, runner_options={})
        if self.runner_options:
            profile = replace(profile, runner_options={**profile.runner_options, **self.runner_options})
        return profile

    def get_openlineage_facets_on_start(self) -> Any:
        """Return what the job reads and may write, for OpenLineage; None where that is not installed."""
        return self._facets()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - OpenLineage passes it
        """Return what the job read and wrote, with the snapshots that readers see now.

        :param task_instance: the task.
        """
        return self._facets()

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:  # noqa: ARG002 - OpenLineage passes it
        """Return what the job read and may have written.

        :param task_instance: the task.
        """
        return self._facets()

    def user_arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Return what code of the user's own is called with, after the session."""
        return [], dict(self.arguments)

    def written_tables(self) -> list[str]:
        """Return namespaces and names of the tables the job may change: its own and those of the outlets."""
        named = [table_of(asset) for asset in (*job_assets(self.job), *(self.outlets or ()))]
        return list(dict.fromkeys(filter(None, named)))

    def _runner(self, profile: Profile) -> SparkRunner:
        return runner_of(profile) if self.runner is None or isinstance(self.runner, str) else self.runner

    def _job_of_task(self, profile: Profile, context: Context) -> TaskJob:
        self._lineage = profile, None
        identity = Identity.of(context, self.job, profile.as_dict(), self.on_clear)
        self._task_job = TaskJob(self._runner(profile), identity, task_store(context))
        return self._task_job

    def _start(self, task_job: TaskJob, profile: Profile, context: Context) -> Found | None:
        if not self.is_due(profile):
            return None
        job, arguments = self._submission(profile, context)
        if self.on_clear == RERUN:
            task_job.stop_cleared(self.retries or 0)
        found = task_job.start(job, arguments)
        if self._killed:
            # The signal came while the service was being asked, and there was nothing to stop yet.
            self._stop(task_job)
        return found

    def _submission(self, profile: Profile, context: Context) -> tuple[str, dict[str, Any]]:
        """Return the name of the job, and what it is given."""
        common = {"profile": profile.as_dict(), "run_id": self._run_id(context), "tables": self.written_tables()}
        job, code = shipped_code.resolve(self.job if self.job_function is None else self.job_function)
        if code is not None:
            return job, {**common, "code": shipped_code.with_arguments(code, *self.user_arguments())}
        return job, {**common, **self._job_arguments()}

    def _job_arguments(self) -> dict[str, Any]:
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
        return given

    def _run_id(self, context: Context) -> str:
        """Name the run after the DAG run; a cleared task is another run, and looks at everything again."""
        cleared = context["ti"].max_tries - (self.retries or 0)
        return f"{context['ti'].run_id}.{cleared}" if cleared > 0 else str(context["ti"].run_id)

    def _deadline(self, started: float, context: Context) -> float | None:
        """Return when the time is up: the job's own, counted from its start, or the task's, counted from that of it."""
        if self.job_seconds is not None:
            return started + self.job_seconds
        if self.execution_timeout is None:
            return None
        began = getattr(context["ti"], "start_date", None)
        return (began.timestamp() if began else time.time()) + self.execution_timeout.total_seconds()

    def _wait(self, task_job: TaskJob, handle: JobHandle, deadline: float | None, position: int) -> JobStatus:
        runner, patience = task_job.runner, Patience(self.poll_seconds, deadline)
        while True:
            try:
                status = runner.status(handle)
            except Exception as error:  # noqa: BLE001 - what does not pass is raised again
                pause = patience.after_failure(error)
                self.log.warning("Job %s cannot be asked after (%s); waiting on", handle.job_id, type(error).__name__)
            else:
                lines, position = runner.follow_logs(handle, position)
                self._log_lines(lines)
                if not status.is_active:
                    return status
                pause = patience.after_answer()
            if patience.is_over:
                raise JobTimeoutError(
                    f"job {self.job!r} took longer than it may and was stopped", remedy="raise job_timeout"
                )
            time.sleep(pause)

    def _finish(self, task_job: TaskJob, status: JobStatus, context: Context) -> dict[str, Any]:
        handle = task_job.handle
        assert handle is not None
        self._task_job = None
        if status.state is not JobState.SUCCEEDED:
            raise job_failure(self.job, status, next(iter(self.job_links.values()), ""))
        outcome = replace(JobOutcome.of(handle, task_job.runner.result(handle), status.attempt), job=self.job)
        return self._report(outcome, context)

    def _spared(self, context: Context) -> dict[str, Any]:
        """Return the result of a job that had nothing to do, without it."""
        self.log.info("%s: nothing is due", self.job)
        runner = self._task_job.runner.name if self._task_job else ""
        return JobOutcome(self.job, runner=runner, status="unchanged", run_id=self._run_id(context)).as_dict()

    def _report(self, outcome: JobOutcome, context: Context) -> dict[str, Any]:
        counts = {name: table.rows for name, table in outcome.tables.items()}
        self.log.info("%s: tables %s, quarantine %s", self.job, counts, outcome.quarantine)
        if self._lineage:
            self._lineage = self._lineage[0], outcome
        report_assets(context, self.outlets or (), outcome, self.arguments.get("dt"))
        return outcome.as_dict()

    def _lost_sight(self, task_job: TaskJob, event: JobEvent, context: Context) -> LakehouseError:
        """Return why the job is waited for no more. Nobody would come back for it after the last attempt."""
        if not self._has_retries(context):
            self._stop(task_job)
        return error_class(event["error_type"])(
            f"waiting for job {self.job!r} ended: {event['reason']} ({event['error_type']})"
        )

    def _stop(self, task_job: TaskJob) -> None:
        try:
            task_job.cancel()
        except LakehouseError as error:
            self.log.warning("Job %s cannot be stopped: %s", task_job.token[:12], error)

    @staticmethod
    def _is_first(context: Context) -> bool:
        return getattr(context["ti"], "try_number", None) == 1

    def _has_retries(self, context: Context) -> bool:
        ti = context["ti"]
        return bool(getattr(ti, "try_number", 0) <= ti.max_tries)

    def _push_links(self, runner: SparkRunner, handle: JobHandle, context: Context) -> None:
        # A job must not fail for its links.
        with suppress(LakehouseError):
            self.job_links = named_links(runner.links(handle))
            push_links(context, self.job_links)

    def _log_lines(self, lines: list[str]) -> None:
        for line in lines:
            self.log.info("%s", line)

    def _facets(self) -> Any:
        with suppress(LakehouseError):
            profile, outcome = self._lineage or (self.get_profile(), None)
            return operator_lineage(profile, self.job, self.written_tables(), outcome)
        return None
