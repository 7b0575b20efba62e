"""The stages of the pipeline one after the other, in this process."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.cli.progress import stage
from airflow_lakehouse.exceptions import InputError, UsageError
from airflow_lakehouse.spark.iceberg.as_of import resolve
from airflow_lakehouse.spark.jobs import UNCHANGED, JobArguments, JobResult, run_job
from airflow_lakehouse.spark.silver import privacy
from airflow_lakehouse.spark.silver.audit import check_accepted
from airflow_lakehouse.spark.storage.catalog import current_snapshot, load_pyiceberg
from airflow_lakehouse.spark.transforms.attachments import EXTRACTED
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_lakehouse.profile import Profile

LOAD: Final = "raw_to_bronze"
STAGES: Final = ("bronze", "silver", "gold")
_NO_FILES: Final = {"found": 0, "loaded": 0, "skipped": 0, "quarantined": 0}
_NO_RECORDS: Final = {"read": 0, "bronze": 0, "quarantine": 0}


@dataclass(frozen=True)
class Request:
    """What to run.

    :param profile: the lakehouse and its drop.
    :param dt: see :class:`airflow_lakehouse.spark.bronze.scope.Scope`.
    :param source_system: see there.
    :param through: the last stage.
    :param max_bad_ratio: see :class:`airflow_lakehouse.spark.jobs.JobArguments`.
    :param reason: see there.
    :param full: see there.
    :param as_of: see there.
    :param accept: see there.
    :param job: the first stage: loading the drop, or trying rejects again.
    """

    profile: Profile
    dt: str | None = None
    source_system: str | None = None
    through: str = STAGES[-1]
    max_bad_ratio: float | None = None
    reason: str | None = None
    job: str = LOAD
    full: bool = False
    as_of: str | None = None
    accept: tuple[str, ...] = ()


def run_pipeline(request: Request) -> dict[str, Any]:
    """Run the stages and return the summary of the run.

    :param request: what to run.
    :raises LakehouseError: when a stage cannot be done.
    """
    arguments = JobArguments(
        request.profile,
        f"run-{uuid.uuid4().hex[:12]}",
        dt=request.dt,
        source_system=request.source_system,
        max_bad_ratio=request.max_bad_ratio,
        reason=request.reason,
        full=request.full,
        as_of=request.as_of,
        accept=request.accept,
    )
    # Not after an hour of bronze: a key or a run that is missing is missing now.
    check_accepted(request.accept)
    privacy.of(request.profile)
    if request.as_of is not None:
        resolve(load_pyiceberg(request.profile), request.as_of)
    _check(request)
    seconds: dict[str, float] = {}
    results = _fill_bronze(request, arguments, seconds)
    if request.through != "bronze":
        with stage("bronze to silver"):
            results.append(run_job("bronze_to_silver", arguments))
    summary = _summary(results, seconds)
    if request.through == "gold":
        with stage("silver to gold"):
            _add_gold(summary, arguments)
    return summary


def _check(request: Request) -> None:
    """Refuse what says nothing, before an hour of bronze.

    :raises UsageError: when there is nothing to load and nothing to make silver of.
    """
    if request.full and request.through == STAGES[0]:
        raise UsageError("a full run makes silver anew, and was told to end before it", legal="silver, gold")
    if request.job != LOAD or request.profile.raw is not None:
        return
    if not request.full:
        raise UsageError("no raw drop was named", legal="a folder or a file, or --full alone, which loads nothing")
    catalog = load_pyiceberg(request.profile)
    if not any(current_snapshot(catalog, table.identifier) for table in bronze.TABLES):
        raise InputError(f"{request.profile.warehouse} holds no bronze to make silver of", remedy="load a drop first")


def _fill_bronze(request: Request, arguments: JobArguments, seconds: dict[str, float]) -> list[JobResult]:
    """Load the drop, if there is one, or try rejects again."""
    if request.job == LOAD and request.profile.raw is None:
        return []
    with stage(request.job.replace("_", " ")):
        results = [run_job(request.job, arguments)]
    if request.job == LOAD:
        # After the first load, which takes documents out of records; before the second, which loads what they hold.
        started = time.monotonic()
        has_read = read_documents(arguments, results[0])
        seconds["ocr"] = time.monotonic() - started
        if has_read:
            with stage("raw to bronze"):
                results.append(run_job(LOAD, arguments))
    return results


def read_documents(arguments: JobArguments, loaded: JobResult) -> bool:
    """Read the documents that nothing has read yet, and tell whether there were any.

    :param arguments: the profile and which part of the drop.
    :param loaded: of the load before.
    """
    if not loaded.files.get("waiting") and not loaded.attachments.get(EXTRACTED):
        return False
    from airflow_lakehouse.spark.documents.to_read import read, to_read

    documents = to_read(arguments.profile, arguments.scope)
    with stage("reading documents", len(documents)) as step:
        read(arguments.profile, documents, on_progress=lambda _: step())
    return bool(documents)


def _summary(results: list[JobResult], seconds: dict[str, float]) -> dict[str, Any]:
    tables: dict[str, dict[str, int]] = {}
    took: Counter[str] = Counter(seconds)
    for result in results:
        for name, change in result.tables.items():
            before = tables.get(name, {})
            # The rows there are now, and what all stages together did.
            tables[name] = {what: n if what == "rows" else n + before.get(what, 0) for what, n in change.items()}
        took.update(result.seconds)
    return {
        "status": "complete",
        "changed": any(result.status != UNCHANGED for result in results),
        "run_id": results[0].run_id,
        "batch_id": next((result.batch_id for result in results if result.batch_id), None),
        "files": _files([result.files for result in results if result.files]),
        "records": _sum(result.records for result in results) or dict(_NO_RECORDS),
        "tables": tables,
        "quarantine": _sum(result.quarantine for result in results),
        "attachments": _sum(result.attachments for result in results),
        "totals": {name: rows for result in results for name, rows in result.totals.items()},
        "reconciled": all(result.reconciled for result in results),
        "seconds": {name: round(value, 3) for name, value in took.items()},
    }


def _files(loads: list[dict[str, int]]) -> dict[str, int]:
    """Return where every file is after all loads: the later ones skip what the first has loaded."""
    if len(loads) <= 1:
        return loads[0] if loads else dict(_NO_FILES)
    together = _sum({name: load[name] for name in ("loaded", "quarantined")} for load in loads)
    return {**loads[-1], **together, "skipped": loads[0]["skipped"]}


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _add_gold(summary: dict[str, Any], arguments: JobArguments) -> None:
    from airflow_lakehouse.cli.gold import refresh_gold

    started = time.monotonic()
    summary["tables"].update(refresh_gold(arguments))
    summary["seconds"]["gold"] = round(time.monotonic() - started, 3)
