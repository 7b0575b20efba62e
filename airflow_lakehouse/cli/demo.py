"""``lakehouse demo``: the whole pipeline as one real Airflow DAG run in a private Airflow, and what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.cli import demo_report
from airflow_lakehouse.cli.airflow_home import (
    DAG_ID,
    AirflowHome,
    check_raw,
    default_home,
    stop_jobs,
    write_sample_input,
)
from airflow_lakehouse.exceptions import JobError
from airflow_lakehouse.spark.engine.connect_server import running_server, stop_unused_server

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

AWS: Final = "aws"
_DOING: Final = {
    "detect": "looking into the drop",
    "bronze": "loading every record, or its reason, into bronze",
    "read_documents": "reading documents page by page",
    "documents": "loading what was read into bronze",
    "silver": "typing and deduplicating into silver",
    "gold": "building and testing the gold models",
}


@dataclass
class Run:
    """What is known of the DAG run so far.

    :param tasks: task to when it started and ended, on the monotonic clock.
    :param failures: task to its reason.
    :param results: task to the counts it returned.
    :param state: state of the DAG run; empty until it has ended.
    """

    tasks: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    state: str = ""

    def take(self, event: dict[str, Any]) -> None:
        """Take in an event of :mod:`airflow_lakehouse.cli.dag_run`.

        :param event: one event.
        """
        now, task, kind = time.monotonic(), event.get("task", ""), event["event"]
        if kind == "execute":
            self.tasks.setdefault(task, [now, now])
        elif kind in ("success", "failure", "retry", "skipped"):
            self.tasks.setdefault(task, [now, now])[1] = now
            self.results[task] = event.get("result") or {}
        elif kind == "end":
            self.state = event["state"]
        if kind == "failure":
            self.failures[task] = event["reason"]
        elif kind == "success":
            self.failures.pop(task, None)

    def stages(self) -> dict[str, float]:
        """Return seconds of each stage; the tasks of a group are one stage."""
        spans: dict[str, list[float]] = {}
        for task, (start, end) in self.tasks.items():
            span = spans.setdefault(task.partition(".")[0], [start, end])
            span[0], span[1] = min(span[0], start), max(span[1], end)
        return {stage: end - start for stage, (start, end) in spans.items()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``lakehouse demo``.

    :param parser: of the subcommand.
    """
    parser.add_argument("--raw", type=Path, help="a raw drop of yours (default: sample input)")
    parser.add_argument(
        "--profile",
        choices=("local", AWS),
        default="local",
        help="aws: S3, Glue, Textract and EMR Serverless from servers on this machine (default %(default)s)",
    )
    parser.add_argument(
        "--home", type=Path, default=default_home(), help="where everything is kept (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the pipeline and show what it made.

    :param args: parsed options.
    :return: exit code.
    :raises LakehouseError: when something cannot be done; the command prints it as one line.
    """
    check_raw(args.raw)
    home = AirflowHome(args.home.absolute(), args.raw.absolute() if args.raw else None)
    started = time.monotonic()
    seconds: dict[str, float] = {}
    engine_before = running_server() is not None
    signal.signal(signal.SIGTERM, _interrupt)
    with ExitStack() as held:
        try:
            with _step("Airflow's database", seconds):
                home.forget_runs()
                home.prepare()
            if args.raw is None:
                with _step("sample input", seconds):
                    write_sample_input(home)
            if args.profile == AWS:
                with _step("S3, Glue, Textract and an engine", seconds):
                    home = held.enter_context(_aws_home(home))
            finished = _run_dag(home)
            raise_for(finished, home)
        finally:
            stop_jobs(home.jobs)
            if not engine_before:
                stop_unused_server()
        seconds |= finished.stages()
        sys.stdout.write(demo_report.render(home, seconds | {"all": time.monotonic() - started}))
    return 0


@contextmanager
def _aws_home(home: AirflowHome) -> Iterator[AirflowHome]:
    from airflow_lakehouse.cli.demo_aws import aws_home, upload

    with aws_home(home) as there:
        upload(there)
        yield there


def _run_dag(home: AirflowHome) -> Run:
    """Run the DAG in a process of its own, and say how it goes."""
    log = home.logs / "demo.log"
    read, write = os.pipe()
    with log.open("wb") as output, os.fdopen(read) as events:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow_lakehouse.cli.dag_run", DAG_ID, str(write)],
            env=home.environ(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(write,),
        )
        # The child holds the other end; with ours open too, its end would never be seen.
        os.close(write)
        run = Run()
        try:
            for line in events:
                event = json.loads(line)
                run.take(event)
                _say(event, run)
            process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if not run.state:
        raise JobError(f"the DAG run ended early, with exit code {process.returncode}", remedy=f"read {log}")
    return run


def raise_for(run: Run, home: AirflowHome) -> None:
    """Raise what a run that did not succeed ended with.

    :param run: the run.
    :param home: where its log is.
    :raises JobError: with the task, its reason and the log.
    """
    if run.state == "success":
        return
    log = home.logs / "demo.log"
    for task, reason in run.failures.items():
        text = " ".join(reason.split()) or "no reason given"
        raise JobError(f"task {task} failed: {text}", remedy=f"the log is {log}")
    raise JobError(f"the DAG run ended as {run.state}", remedy=f"the log is {log}")


def _say(event: dict[str, Any], run: Run) -> None:
    """Tell a person how far it is: a line when a stage begins, and one when a task ends."""
    task, kind = event.get("task", ""), event["event"]
    stage = task.partition(".")[0]
    if (
        kind == "execute"
        and event["try"] == 1
        and task == next((name for name in run.tasks if name.startswith(stage)), "")
    ):
        _print(f"{stage}: {_DOING.get(stage, 'running')} ...")
    elif kind == "success":
        start, end = run.tasks[task]
        _print(f"  {task:44} {end - start:6.1f} s  {demo_report.in_words(run.results[task])}".rstrip())
    elif kind in ("retry", "failure"):
        again = "; trying again" if kind == "retry" else ""
        _print(f"  {task:44} failed{again}: {' '.join(event['reason'].split())[:300]}")


@contextmanager
def _step(title: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[title] = time.monotonic() - started
    _print(f"  {title:44} {seconds[title]:6.1f} s")


def _print(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
