"""``lakehouse maintain``: compaction, expiry and the rest, where they are due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_lakehouse.cli.progress import stage
from airflow_lakehouse.cli.warehouse import add_warehouse, print_json, profile_of
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy

if TYPE_CHECKING:
    import argparse

    from airflow_lakehouse.profile import Profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    add_warehouse(parser)
    parser.add_argument("--dry-run", action="store_true", help="print what is due, and do nothing")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a threshold of the policy, or tables=NAME,NAME; may be given several times",
    )


def run(options: argparse.Namespace) -> int:
    """Do what is due, or say what would be done; prints one JSON object.

    :param options: the parsed options.
    """
    policy = MaintenancePolicy.from_settings(options.set)
    act = _plan if options.dry_run else _maintain
    print_json(act(profile_of(options), policy))
    return 0


def _plan(profile: Profile, policy: MaintenancePolicy) -> dict[str, Any]:
    from airflow_lakehouse.spark.maintenance.survey import survey
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

    found = survey(load_pyiceberg(profile), policy)
    steps = [step for finding in found for step in finding.as_dicts()]
    return {"status": "due" if any(finding.steps for finding in found) else "unchanged", "steps": steps}


def _maintain(profile: Profile, policy: MaintenancePolicy) -> dict[str, Any]:
    from airflow_lakehouse.spark.jobs import JobArguments, run_job

    with stage("maintenance"):
        result = run_job("maintain", JobArguments(profile, policy=policy)).as_dict()
    return {name: result[name] for name in ("status", "run_id", "steps", "tables", "seconds")}
