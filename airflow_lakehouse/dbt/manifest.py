"""The part of dbt's manifest from which Airflow draws the tasks, kept beside the project.

Airflow parses a DAG without dbt, in every scheduler and every task process. dbt's own manifest is eight hundred
kilobytes, most of it macros, and differs with each run; this one is small and changes when the project does.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from airflow_lakehouse.exceptions import JobError, SetupError

MANIFEST_FILE: Final = "airflow_manifest.json"
"""Name of the file in the dbt project."""

_NODE_KEYS: Final = ("unique_id", "name", "resource_type", "package_name", "original_file_path", "fqn", "tags")
_CONFIG_KEYS: Final = ("materialized", "meta", "tags")
_SOURCE_KEYS: Final = ("unique_id", "name", "resource_type", "package_name", "original_file_path", "fqn", "schema")


def read_manifest(project: Path) -> dict[str, Any]:
    """Return the manifest of a project.

    :param project: directory of the dbt project.
    :raises SetupError: when the project has none.
    """
    path = project / MANIFEST_FILE
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(
            f"dbt project {project} has no {MANIFEST_FILE}",
            remedy=f"python -m airflow_lakehouse.dbt.manifest {project}",
        ) from error
    return manifest


def render_manifest(dbt: Path, project: Path) -> str:
    """Let dbt parse a project and return the text of its manifest file. Needs no Spark.

    :param dbt: the dbt program.
    :param project: directory of the dbt project.
    :raises JobError: when the project does not parse; the message holds what dbt says.
    """
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [dbt, "--quiet", "parse", "--project-dir", project, "--profiles-dir", project,
             "--target-path", scratch, "--log-path", scratch, "--no-partial-parse"],
            env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_VERSION_CHECK": "false"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise JobError(f"dbt project {project} does not parse: {done.stdout.strip()[-2000:]}")
        full = json.loads(Path(scratch, "manifest.json").read_text(encoding="utf-8"))
    return json.dumps(_trim(full), indent=1, sort_keys=True) + "\n"


def sources_of_models(manifest: dict[str, Any]) -> dict[str, set[str]]:
    """Return, for each table gold builds, the source tables it is made of, ``namespace.name`` each.

    :param manifest: from :func:`read_manifest`.
    """
    nodes, sources = manifest["nodes"], manifest["sources"]

    def reach(unique_id: str) -> set[str]:
        if unique_id in sources:
            return {f"{sources[unique_id]['schema']}.{sources[unique_id]['name']}"}
        return {table for parent in nodes[unique_id]["depends_on"]["nodes"] for table in reach(parent)}

    return {node["name"]: reach(name) for name, node in sorted(nodes.items()) if node["resource_type"] == "model"}


def _trim(full: dict[str, Any]) -> dict[str, Any]:
    """Keep tables, their tests and their sources; what goes through an ephemeral model goes straight."""
    nodes, models = full["nodes"], {name for name, node in full["nodes"].items() if node["resource_type"] == "model"}
    inlined = {name for name in models if nodes[name]["config"]["materialized"] == "ephemeral"}

    def parents(unique_id: str) -> set[str]:
        direct = set(nodes[unique_id]["depends_on"]["nodes"])
        return (direct - inlined).union(*(parents(name) for name in direct & inlined))

    def is_kept(unique_id: str) -> bool:
        # A test of a source or an ephemeral model has no task to run after.
        if nodes[unique_id]["resource_type"] != "test":
            return unique_id not in inlined
        return bool(models.intersection(nodes[unique_id]["depends_on"]["nodes"]) - inlined)

    kept = {
        unique_id: {
            **{key: node[key] for key in _NODE_KEYS},
            "depends_on": {"nodes": sorted(parents(unique_id))},
            "config": {key: node["config"][key] for key in _CONFIG_KEYS if key in node["config"]},
        }
        for unique_id, node in nodes.items()
        if is_kept(unique_id)
    }
    sources = {
        unique_id: {**{key: node[key] for key in _SOURCE_KEYS}, "depends_on": {"nodes": []}}
        for unique_id, node in full["sources"].items()
    }
    return {"metadata": {"project_name": full["metadata"]["project_name"]}, "nodes": kept, "sources": sources}


def main(arguments: list[str]) -> None:
    """Write the manifest of a project.

    :param arguments: the project's directory; the one that ships with this package when empty.
    """
    from airflow_lakehouse.dbt.environment import ensure_environment
    from airflow_lakehouse.resources import resource_dir

    project = Path(arguments[0]) if arguments else resource_dir("dbt_example")
    (project / MANIFEST_FILE).write_text(render_manifest(ensure_environment().dbt, project), encoding="utf-8")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
