"""Gold from the command line: one dbt build where something changed, nothing where nothing did."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_lakehouse.spark.jobs import JobArguments


def refresh_gold(arguments: JobArguments) -> dict[str, dict[str, int]]:
    """Build gold and return what became of its tables: rows, added, updated, deleted.

    :param arguments: the profile and the run.
    :raises LakehouseError: when a model or a test fails.
    """
    from airflow_lakehouse.dbt.build import build_gold, is_current
    from airflow_lakehouse.dbt.freshness import tag_gold
    from airflow_lakehouse.spark.connect_server import hold_server

    profile = arguments.profile
    if is_current(profile):
        return {}
    with hold_server() as server:
        result = build_gold(
            profile,
            remote=server.remote,
            run_id=arguments.run_id,
            log_dir=profile.warehouse_dir / "logs" / "gold",
        )
    rebuilt = {name: model for name, model in result.models.items() if model.status == "rebuilt"}
    tag_gold(profile, arguments.run_id, rebuilt)
    return {
        name: {"rows": model.rows, "added": model.rows, "updated": 0, "deleted": 0} for name, model in rebuilt.items()
    }
