"""One ``dbt build`` of gold: models and tests, in the managed environment, skipped where nothing changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.dbt import freshness
from airflow_lakehouse.dbt.edition import TODAY, Edition
from airflow_lakehouse.dbt.environment import DbtEnvironment, ensure_environment
from airflow_lakehouse.dbt.invocation import dbt_environ
from airflow_lakehouse.exceptions import AuditError, JobError
from airflow_lakehouse.resources import resource_dir
from airflow_lakehouse.spark.storage.catalog import current_snapshot, load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.profile import Profile

_FAILED: Final = ("error", "fail", "runtime error")
_PARSED: Final = "partial_parse.msgpack"


@dataclass(frozen=True, slots=True)
class GoldModel:
    """What became of one gold table.

    :param status: ``rebuilt`` (a new snapshot) or ``unchanged``.
    :param rows: rows it has now.
    """

    status: str
    rows: int


@dataclass(frozen=True, slots=True)
class GoldResult:
    """What one build did.

    :param status: ``built`` when dbt ran, ``unchanged`` when there was nothing to run it for.
    :param models: gold tables by name.
    :param tests: data tests that passed.
    :param warnings: names of tests that warn.
    :param seconds: how long it took.
    """

    status: str
    models: dict[str, GoldModel] = field(default_factory=dict)
    tests: int = 0
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


def build_gold(  # noqa: PLR0913 - each is a choice of the caller, by name, with a default
    profile: Profile,
    *,
    remote: str,
    run_id: str,
    select: str | None = None,
    log_dir: Path | None = None,
    project: Path | None = None,
    threads: int = 3,
    unit_tests: bool = False,
    branch: str | None = None,
    edition: Edition = TODAY,
) -> GoldResult:
    """Build and test gold.

    :param profile: the lakehouse; its silver tables exist, be they empty.
    :param remote: address of a Spark Connect server.
    :param run_id: run that is written into the snapshots.
    :param select: dbt's selection syntax; what is selected is built even where nothing changed.
    :param log_dir: where dbt's logs and artifacts go; a temporary directory by default.
    :param project: dbt project; the one that ships with this package by default.
    :param threads: statements at once.
    :param unit_tests: also run the models' unit tests.
    :param branch: Iceberg branch to write and test on, for tables with ``write.wap.enabled``.
    :param edition: which gold; today's by default.
    :raises AuditError: when every model was built and a test failed; the tables are written.
    :raises JobError: when a model failed, or dbt did not come so far.
    """
    started = time.monotonic()
    project = project or resource_dir("dbt_example")
    catalog = load_pyiceberg(profile)
    inputs = freshness.fingerprints(catalog, project, edition.snapshots)
    before = {model: freshness.snapshot_id(catalog, edition.table(model)) for model in inputs}
    stale = _stale(catalog, inputs, edition)
    if not stale and select is None:
        unchanged = {model: GoldModel("unchanged", _rows(catalog, edition.table(model))) for model in inputs}
        return GoldResult("unchanged", unchanged, seconds=time.monotonic() - started)

    selected = [select] if select else [f"+{model}" for model in stale]
    environ = dbt_environ(profile, remote=remote, run_id=run_id, branch=branch, unit_tests=unit_tests, edition=edition)
    logs = log_dir or Path(tempfile.mkdtemp(prefix="lakehouse-gold-"))
    job = _Job(project, logs, environ, threads, is_kept=edition is TODAY)
    results = _run_dbt(ensure_environment(), job, selected)
    passed, warned = _judge(results, logs)

    built = [name for name in _names(results, "model") if name in inputs]
    for model in built:
        freshness.mark(catalog, edition.table(model), inputs[model], freshness.TESTED)
    checkpoint(profile)
    models = {model: _outcome(catalog, edition.table(model), before[model]) for model in inputs}
    return GoldResult("built", models, passed, warned, time.monotonic() - started)


def is_current(profile: Profile, *, project: Path | None = None) -> bool:
    """Tell whether gold is up to date with its sources and its project. Needs no engine.

    :param profile: the lakehouse.
    :param project: dbt project; the one that ships with this package by default.
    """
    catalog = load_pyiceberg(profile)
    return not _stale(catalog, freshness.fingerprints(catalog, project or resource_dir("dbt_example")), TODAY)


def _stale(catalog: Catalog, inputs: dict[str, str], edition: Edition) -> list[str]:
    """Return the models whose note is missing, or whose sources, project or own rows have moved since."""
    marks = freshness.TESTED
    return [name for name in inputs if not freshness.is_marked(catalog, edition.table(name), inputs[name], marks)]


def _rows(catalog: Catalog, table: str) -> int:
    snapshot = current_snapshot(catalog, table)
    summary = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
    return int(summary.get("total-records") or 0)


def _outcome(catalog: Catalog, table: str, before: int | None) -> GoldModel:
    changed = freshness.snapshot_id(catalog, table) != before
    return GoldModel("rebuilt" if changed else "unchanged", _rows(catalog, table))


@dataclass(frozen=True, slots=True)
class _Job:
    """What dbt is started for; ``is_kept`` where what it parses serves the next run."""

    project: Path
    logs: Path
    environ: dict[str, str]
    threads: int
    is_kept: bool


def _run_dbt(environment: DbtEnvironment, job: _Job, select: list[str]) -> list[dict[str, Any]]:
    project, logs = job.project, job.logs
    logs.mkdir(parents=True, exist_ok=True)
    target = logs / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    parsed = environment.path / f"{freshness.hash_of_project(project)[:16]}-{_PARSED}"
    if parsed.is_file() and job.is_kept:
        # Parsing takes three seconds; what the last run parsed is checked and used again by dbt itself.
        shutil.copyfile(parsed, target / _PARSED)
    command = [
        str(environment.dbt), "build", "--select", *select, "--threads", str(job.threads),
        "--project-dir", str(project), "--profiles-dir", str(project),
        "--target-path", str(target), "--log-path", str(logs), "--log-level-file", "info",
    ]  # fmt: skip
    with (logs / "dbt.out").open("wb") as output:
        code = _wait(
            subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **job.environ})
        )
    if job.is_kept:
        # Another edition's models have other schemas in what was parsed.
        _keep(target / _PARSED, parsed)
    try:
        results: list[dict[str, Any]] = json.loads((target / "run_results.json").read_text())["results"]
    except (OSError, ValueError, KeyError) as error:
        raise JobError(
            f"dbt ended with exit code {code} before any model ran", remedy=f"read {logs / 'dbt.out'}"
        ) from error
    return results


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for dbt; if this process is stopped meanwhile, stop dbt and what Spark runs for it."""
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            process.kill()


def _keep(source: Path, kept: Path) -> None:
    # The environment may be read-only, as in an image; then every run parses anew.
    with suppress(OSError):
        partial = kept.with_suffix(f".{os.getpid()}")
        shutil.copyfile(source, partial)
        partial.replace(kept)


def _judge(results: list[dict[str, Any]], logs: Path) -> tuple[int, tuple[str, ...]]:
    failed = [result for result in results if result["status"] in _FAILED]
    if failed:
        models = _names(failed, "model")
        others = sorted({_name(result) for result in failed} - set(models))
        parts = [f"{what} {', '.join(names)}" for what, names in (("model", models), ("test", others)) if names]
        # A test that could not be run is a failure of the job, not a finding about the data.
        audit = not models and all(result["status"] == "fail" for result in failed)
        kind: type[AuditError | JobError] = AuditError if audit else JobError
        raise kind(f"gold failed: {'; '.join(parts)}", remedy=f"read {logs / 'dbt.out'}")
    warned = tuple(sorted(_name(result) for result in results if result["status"] == "warn"))
    return sum(result["status"] == "pass" for result in results), warned


def _names(results: Iterable[dict[str, Any]], kind: str) -> list[str]:
    return sorted(_name(result) for result in results if result["unique_id"].startswith(f"{kind}."))


def _name(result: dict[str, Any]) -> str:
    return str(result["unique_id"]).split(".")[2]
