"""``lakehouse gold``: one dbt build where something changed, nothing where nothing did; or gold as of a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_lakehouse.cli.warehouse import add_as_of, add_warehouse, print_json, profile_of
from airflow_lakehouse.spark.jobs import JobArguments

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from airflow_lakehouse.profile import Profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    add_warehouse(parser)
    add_as_of(parser, "build it from silver")
    parser.add_argument(
        "--into", metavar="NAMESPACE", help="where gold as of a moment goes, such as gold_2025q4; never to gold itself"
    )


def run(options: argparse.Namespace) -> int:
    """Build gold, and print ``run_id`` and what became of its tables as one JSON object.

    :param options: the parsed options.
    """
    arguments = JobArguments(profile_of(options))
    if options.as_of is None and options.into is None:
        tables = refresh_gold(arguments)
    else:
        tables = gold_as_of(arguments, options.as_of, options.into)
    print_json({"run_id": arguments.run_id, "tables": tables})
    return 0


def gold_as_of(arguments: JobArguments, as_of: str | None, namespace: str | None) -> dict[str, dict[str, int]]:
    """Build gold as of a moment beside today's, and return the rows of its tables.

    :param arguments: the profile and the run.
    :param as_of: see :func:`airflow_lakehouse.dbt.edition.edition`.
    :param namespace: see there.
    :raises LakehouseError: when there is no such moment, or a model or a test fails.
    """
    from airflow_lakehouse.dbt.build import build_gold
    from airflow_lakehouse.dbt.edition import edition
    from airflow_lakehouse.resources import resource_dir
    from airflow_lakehouse.spark.engine.connect_server import hold_server
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

    profile = arguments.profile
    wanted = edition(load_pyiceberg(profile), resource_dir("dbt_example"), as_of, namespace)
    with hold_server() as server:
        result = build_gold(
            profile, remote=server.remote, run_id=arguments.run_id, log_dir=_logs(profile), edition=wanted
        )
    return {wanted.table(name): {"rows": model.rows} for name, model in result.models.items()}


def _logs(profile: Profile) -> Path:
    return profile.warehouse_dir / "logs" / "gold"


def refresh_gold(arguments: JobArguments) -> dict[str, dict[str, int]]:
    """Build gold and return what became of its tables: rows, added, updated, deleted.

    :param arguments: the profile and the run.
    :raises LakehouseError: when a model or a test fails.
    """
    from airflow_lakehouse.dbt.build import build_gold, is_current
    from airflow_lakehouse.dbt.freshness import tag_gold
    from airflow_lakehouse.spark.engine.connect_server import hold_server

    profile = arguments.profile
    if is_current(profile):
        return {}
    with hold_server() as server:
        result = build_gold(
            profile,
            remote=server.remote,
            run_id=arguments.run_id,
            log_dir=_logs(profile),
        )
    rebuilt = {name: model for name, model in result.models.items() if model.status == "rebuilt"}
    tag_gold(profile, arguments.run_id, rebuilt)
    return {
        name: {"rows": model.rows, "added": model.rows, "updated": 0, "deleted": 0} for name, model in rebuilt.items()
    }
