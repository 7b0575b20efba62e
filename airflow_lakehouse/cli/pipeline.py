"""The stages of the pipeline one after the other, in this process."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.cli.progress import stage
from airflow_lakehouse.spark.jobs import JobArguments, JobResult, run_job

if TYPE_CHECKING:
    from airflow_lakehouse.parsing import SourceFile
    from airflow_lakehouse.profile import Profile

LOAD: Final = "raw_to_bronze"
STAGES: Final = ("bronze", "silver", "gold")
_DOCUMENTS: Final = "documents"


@dataclass(frozen=True)
class Request:
    """What to run.

    :param profile: the lakehouse and its drop.
    :param dt: see :class:`airflow_lakehouse.spark.discovery.Scope`.
    :param source_system: see there.
    :param through: the last stage.
    :param max_bad_ratio: see :class:`airflow_lakehouse.spark.jobs.JobArguments`.
    :param reason: see there.
    :param recompute: see there.
    :param job: the first stage: loading the drop, or trying rejects again.
    """

    profile: Profile
    dt: str | None = None
    source_system: str | None = None
    through: str = STAGES[-1]
    max_bad_ratio: float | None = None
    reason: str | None = None
    job: str = LOAD
    recompute: bool = False


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
        recompute=request.recompute,
    )
    seconds: dict[str, float] = {}
    if request.job == LOAD:
        started = time.monotonic()
        read_documents(arguments)
        seconds["ocr"] = round(time.monotonic() - started, 3)
    with stage(request.job.replace("_", " ")):
        results = [run_job(request.job, arguments)]
    if request.through != "bronze":
        with stage("bronze to silver"):
            results.append(run_job("bronze_to_silver", arguments))
    summary = _summary(results, seconds)
    if request.through == "gold":
        with stage("silver to gold"):
            _add_gold(summary, arguments)
    return summary


def read_documents(arguments: JobArguments) -> None:
    """Read the documents of the drop that nothing has read yet.

    :param arguments: the profile and which part of the drop.
    """
    documents = find_documents(arguments)
    if not documents:
        return
    from airflow_lakehouse.ocr.store import read_batch
    from airflow_lakehouse.spark.catalog import create_local_catalog

    # Before anything is written below it: a wrong warehouse must be refused while it is still untouched.
    create_local_catalog(arguments.profile)
    with stage("reading documents", len(documents)) as step:
        read_batch(
            documents,
            textract_dir=arguments.profile.textract_uri,
            engine=arguments.profile.ocr,
            on_progress=lambda _: step(),
        )


def find_documents(arguments: JobArguments) -> list[SourceFile]:
    """Return the files of the drop that the parser of documents claims.

    :param arguments: the profile and which part of the drop.
    """
    from airflow_lakehouse.parsing import load_registry
    from airflow_lakehouse.spark.discovery import discover

    profile = arguments.profile
    found = discover(profile, load_registry(profile.parsers), arguments.scope)
    return [one.file for one in found if one.parser == _DOCUMENTS]


def _summary(results: list[JobResult], seconds: dict[str, float]) -> dict[str, Any]:
    bronze = results[0]
    tables: dict[str, dict[str, int]] = {}
    for result in results:
        tables.update(result.tables)
        seconds.update(result.seconds)
    changed = any(result.status != "unchanged" for result in results)
    return {
        "status": "complete",
        "changed": changed,
        "run_id": bronze.run_id,
        "batch_id": bronze.batch_id,
        "files": bronze.files,
        "records": bronze.records,
        "tables": tables,
        "quarantine": bronze.quarantine,
        "totals": {name: rows for result in results for name, rows in result.totals.items()},
        "reconciled": all(result.reconciled for result in results),
        "seconds": seconds,
    }


def _add_gold(summary: dict[str, Any], arguments: JobArguments) -> None:
    from airflow_lakehouse.cli.gold import refresh_gold

    started = time.monotonic()
    summary["tables"].update(refresh_gold(arguments))
    summary["seconds"]["gold"] = round(time.monotonic() - started, 3)
