"""What Airflow's own operators for EMR Serverless and Glue do when something fails, and what this package's does.

The same faults for both, from the same fakes, with real processes: workers are killed with SIGKILL. Nothing here needs
an account or Spark: the job is a script that waits, and raises where it is told to. Prints the table, and with
``--write`` puts it into docs/explanation/spark-operators.md::

    python benchmarks/spark_operators.py [--write]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import warnings
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="spark-operators-"))

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "spark-operators.md"
BEGIN: Final = "<!-- table: begin (benchmarks/spark_operators.py --write) -->"
END: Final = "<!-- table: end -->"
ROLE: Final = "arn:aws:iam::000000000000:role/job"
SIDES: Final = ("emr_serverless", "glue")
PATIENCE: Final = 90
"""Seconds after which a task that still waits is said to wait."""

JOB: Final = """
import json, sys, time
from pathlib import Path
sys.stderr.write("2026-01-15 10:00:00,123 INFO airflow_lakehouse.spark.iceberg.load: reading the drop\\n")
sys.stderr.flush()
while not Path({until!r}).exists():
    time.sleep(0.05)
if {raises}:
    raise ValueError("could not convert string to float: 'Jane Roe'")
if "--result" in sys.argv:
    from airflow_lakehouse.ocr.folder import open_folder
    folder, _, name = sys.argv[sys.argv.index("--result") + 1].rpartition("/")
    open_folder(folder).write(name, json.dumps({{"status": "complete", "tables": {{}}}}).encode())
"""


@dataclass
class Stage:
    """One fake service, a job on it, and who starts it.

    :param side: one of :data:`SIDES`.
    :param is_ours: this package's operator, or Airflow's.
    :param service: the fake.
    :param scripts: root of the job scripts.
    :param folder: of this machine.
    """

    side: str
    is_ours: bool
    service: Any
    scripts: str
    folder: Path

    def put(self, *, raises: bool = False) -> None:
        """Put the script of the job there."""
        import boto3

        bucket, _, prefix = self.scripts.removeprefix("s3://").partition("/")
        text = JOB.format(until=str(self.folder / "until"), raises=raises)
        boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/job.py", Body=text.encode())

    def let(self) -> None:
        """Let the job go on."""
        (self.folder / "until").touch()

    def described(self) -> dict[str, Any]:
        """Return what another process needs to be the worker."""
        application = getattr(self.service, "application_id", "")
        values = {"side": self.side, "is_ours": self.is_ours, "scripts": self.scripts, "application": application}
        return {**values, "folder": str(self.folder)}

    def run_states(self) -> list[str]:
        """Return the state of every run the service has."""
        return [run[0].state if isinstance(run, tuple) else run.run.state for run in self.service.runs.values()]


class Store(dict[str, Any]):
    """Airflow's task store, in a file: it outlives the worker."""

    def __init__(self, path: Path) -> None:
        super().__init__(json.loads(path.read_text()) if path.exists() else {})
        self._path = path

    def set(self, key: str, value: Any, **_: Any) -> None:
        """Store."""
        self[key] = value
        self._path.write_text(json.dumps(self))

    def delete(self, key: str) -> None:
        """Forget."""
        self.pop(key, None)
        self._path.write_text(json.dumps(self))


def operator(given: dict[str, Any], *, deferrable: bool) -> Any:
    """Return the operator of one attempt, made anew as every worker does."""
    from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator
    from airflow.providers.amazon.aws.operators.glue import GlueJobOperator

    from airflow_lakehouse.hooks.spark import EmrServerlessRunner, GlueRunner
    from airflow_lakehouse.operators.iceberg_spark import IcebergSparkOperator

    scripts, entry = given["scripts"], f"{given['scripts']}/job.py"
    common: dict[str, Any] = {"task_id": "job", "deferrable": deferrable}
    if given["is_ours"]:
        runner: Any = GlueRunner(scripts, role_arn=ROLE, entry_point=entry)
        if given["side"] == "emr_serverless":
            runner = EmrServerlessRunner(given["application"], ROLE, scripts, entry_point=entry)
        return IcebergSparkOperator(job="raw_to_bronze", runner=runner, poll_seconds=0.5, **common)
    common |= {"waiter_delay": 1, "waiter_max_attempts": PATIENCE, "aws_conn_id": "aws_default"}
    if given["side"] == "glue":
        made = {"GlueVersion": "6.0", "WorkerType": "G.1X", "NumberOfWorkers": 2}
        return GlueJobOperator(
            job_name="upstream", script_location=entry, iam_role_arn=ROLE, create_job_kwargs=made,
            stop_job_run_on_kill=True, job_poll_interval=1, **common,
        )  # fmt: skip
    return EmrServerlessStartJobOperator(
        application_id=given["application"], execution_role_arn=ROLE,
        job_driver={"sparkSubmit": {"entryPoint": entry}}, **common,
    )  # fmt: skip


def context(given: dict[str, Any]) -> dict[str, Any]:
    """Return the context of an attempt, with what outlives it."""
    ti = SimpleNamespace(
        dag_id="dag", run_id="run", task_id="job", map_index=-1, max_tries=1, try_number=1, stats_tags={},
        xcom_push=lambda **_: None, xcom_pull=lambda **_: None,
    )  # fmt: skip
    store = Store(Path(given["folder"]) / "store.json")
    return {"ti": ti, "task_instance": ti, "dag_run": SimpleNamespace(start_date="1"), "task_state_store": store}


def attempt(given: dict[str, Any], *, deferrable: bool, meanwhile: Callable[[Any], None] = lambda _: None) -> str:
    """Run one attempt to its end and return what the task says.

    :param meanwhile: told the trigger of a deferred task, beside it.
    """
    from airflow.sdk.exceptions import TaskDeferred

    task = operator(given, deferrable=deferrable)
    try:
        try:
            task.execute(context(given))
        except TaskDeferred as deferred:
            threading.Thread(target=meanwhile, args=(deferred.trigger,), daemon=True).start()
            event = _fire(deferred.trigger)
            # A worker of its own resumes the task, from the DAG file.
            getattr(operator(given, deferrable=True), deferred.method_name)(context(given), event)
    except TimeoutError:
        return f"still waits after {PATIENCE} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the task would say
        return f"{type(error).__name__}: {error}"
    return "succeeds"


def _fire(trigger: Any) -> Any:
    """Return the event of a trigger; one that waits for too long is left to itself, not cancelled."""
    events: list[Any] = []

    async def first() -> None:
        events.append((await anext(aiter(trigger.run()))).payload)

    thread = threading.Thread(target=asyncio.run, args=(first(),), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not events and thread.is_alive():
        raise TimeoutError
    return events[0] if events else None


def killed_while_submitting(stage: Stage) -> str:
    """Kill the worker before the answer to StartJobRun is there, then try again."""
    answer = stage.service.answer

    def slow(operation: str, arguments: dict[str, Any]) -> Any:
        answered = answer(operation, arguments)
        time.sleep(5 if operation == "StartJobRun" and not (stage.folder / "died").exists() else 0)
        return answered

    stage.service.answer = slow
    return _killed(stage, lambda: stage.service.runs)


def killed_while_polling(stage: Stage) -> str:
    """Kill the worker while it waits, then try again."""
    return _killed(stage, lambda: stage.service.requests["GetJobRun"] > 1)


def _killed(stage: Stage, when: Callable[[], Any]) -> str:
    stage.put()
    command = [sys.executable, "-W", "ignore", __file__, "--attempt", json.dumps(stage.described())]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until(when)
    worker.kill()
    worker.wait()
    (stage.folder / "died").touch()
    threading.Timer(2, stage.let).start()
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().splitlines()
    jobs = len(stage.service.runs)
    return f"{jobs} job{'s' if jobs > 1 else ''}; {said[-1] if said else 'nothing said'}"


def raises(stage: Stage) -> str:
    """Let the code of the job raise an error that quotes a record."""
    stage.put(raises=True)
    stage.let()
    return attempt(stage.described(), deferrable=True)


def host_lost(stage: Stage) -> str:
    """Take away the driver's host."""
    return _meanwhile(stage, lambda run, _: stage.service.lose_driver(run))


def vanished(stage: Stage) -> str:
    """Let the service forget the job."""
    return _meanwhile(stage, lambda run, _: stage.service.vanish(run))


def throttled(stage: Stage) -> str:
    """Refuse twelve requests in a row."""
    return _meanwhile(stage, lambda *_: stage.service.throttle(12))


def expired(stage: Stage) -> str:
    """Let credentials expire once while the task waits; new ones are there."""
    return _meanwhile(stage, lambda *_: stage.service.expire_credentials(1, "GetJobRun"))


def killed_deferred(stage: Stage) -> str:
    """Somebody marks the deferred task as failed: Airflow 3.3 calls the trigger's on_kill."""
    stage.put()

    def kill(trigger: Any) -> None:
        _until(lambda: "RUNNING" in stage.run_states())
        with suppress(AttributeError):
            asyncio.run(trigger.on_kill())

    thread = threading.Thread(target=attempt, args=(stage.described(),), kwargs={"deferrable": True, "meanwhile": kill})
    thread.daemon = True
    thread.start()
    _until(stage.run_states)
    with suppress(AssertionError):
        _until(lambda: set(stage.run_states()) & {"CANCELLED", "STOPPED"}, 12)
    return f"the job is {', '.join(stage.run_states())}"


def _meanwhile(stage: Stage, what: Callable[[str, Any], Any]) -> str:
    stage.put()

    def act(trigger: Any) -> None:
        _until(lambda: "RUNNING" in stage.run_states())
        time.sleep(1)
        what(next(iter(stage.service.runs)), trigger)
        stage.let()

    return attempt(stage.described(), deferrable=True, meanwhile=act)


SCENES: Final = {
    "worker killed before StartJobRun answered, retried": killed_while_submitting,
    "worker killed while polling, retried": killed_while_polling,
    "deferred, job's code raises": raises,
    "deferred, driver's host lost": host_lost,
    "deferred, task killed": killed_deferred,
    "deferred, 12 requests refused in a row": throttled,
    "deferred, credentials expire once": expired,
    "deferred, job vanishes": vanished,
}


def _until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def play(scene: Callable[[Stage], str], side: str, *, is_ours: bool, s3: str, folder: Path) -> str:
    """Play one scene on a stage of its own, and return what came of it in one line."""
    import boto3

    from airflow_lakehouse.hooks.spark.aws import forget_clients
    from airflow_lakehouse.testing.fake_emr_serverless import fake_emr_serverless
    from airflow_lakehouse.testing.fake_glue_jobs import fake_glue_jobs
    from airflow_lakehouse.testing.job_process import plain_python
    from airflow_lakehouse.testing.s3_server import CREDENTIALS

    folder.mkdir()
    fake: Any = fake_emr_serverless if side == "emr_serverless" else fake_glue_jobs
    with fake(s3, folder / "runs", plain_python) as service:
        os.environ |= {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": s3, "AIRFLOW_CONN_AWS_DEFAULT": "aws://"}
        os.environ |= {f"AWS_ENDPOINT_URL_{name}": service.endpoint for name in ("EMR_SERVERLESS", "GLUE")}
        os.environ |= {"AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": service.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
        connection = {"conn_type": "lakehouse", "extra": {"warehouse": str(folder / "warehouse")}}
        os.environ["AIRFLOW_CONN_LAKEHOUSE"] = json.dumps(connection)
        forget_clients()
        bucket = f"scripts-{uuid.uuid4().hex[:12]}"
        boto3.client("s3").create_bucket(Bucket=bucket)
        stage = Stage(side, is_ours, service, f"s3://{bucket}/lake", folder)
        said = scene(stage)
        stage.let()
    return _line(said)


def _line(text: str) -> str:
    """Return a text fit for a cell: without what differs from run to run, and not too long."""
    text = re.sub(r"jr_[0-9a-f]+|\b[0-9a-f]{12,64}\b", "ID", " ".join(text.split())).replace("|", "/")
    text = re.sub(r"'(Created|Started|Last)\w+': datetime[^)]*\)", r"'\1'", text)
    return text if len(text) < 240 else f"{text[:236]} ..."  # noqa: PLR2004 - what a cell can hold


def table(rows: dict[str, dict[tuple[str, bool], str]]) -> str:
    """Return the outcomes as two tables of Markdown, one a service."""
    names = {
        "emr_serverless": ("EMR Serverless", "EmrServerlessStartJobOperator"),
        "glue": ("AWS Glue", "GlueJobOperator"),
    }
    lines = [f"Amazon provider {version('apache-airflow-providers-amazon')}, Airflow {version('apache-airflow-core')}."]
    for side, (service, upstream) in names.items():
        lines += ["", f"## {service}", "", f"| what happens | `{upstream}` | `IcebergSparkOperator` |", "|---|---|---|"]
        lines += [f"| {scene} | {said[side, False]} | {said[side, True]} |" for scene, said in rows.items()]
    return "\n".join(lines)


def main() -> None:
    """Play every scene on every side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    parser.add_argument("--attempt", help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help="scenes whose name holds this")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    if options.attempt:
        print(attempt(json.loads(options.attempt), deferrable=False))
        return
    from airflow_lakehouse.testing.s3_server import s3_server

    rows: dict[str, dict[tuple[str, bool], str]] = {}
    with s3_server() as s3, tempfile.TemporaryDirectory(prefix="spark-operators-") as scratch:
        for number, (name, scene) in enumerate(SCENES.items()):
            if options.only not in name:
                continue
            for side in SIDES:
                for is_ours in (False, True):
                    folder = Path(scratch) / f"{number}-{side}-{is_ours}"
                    said = play(scene, side, is_ours=is_ours, s3=s3, folder=folder)
                    rows.setdefault(name, {})[side, is_ours] = said
                    print(f"{name} | {side} | {'ours' if is_ours else 'upstream'} | {said}", flush=True)
    if options.write:
        text = PAGE.read_text()
        head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}\n{table(rows)}\n{END}{tail}")


if __name__ == "__main__":
    main()
