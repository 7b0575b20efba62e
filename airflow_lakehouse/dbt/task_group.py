"""Gold as Airflow tasks, through Cosmos: one task that builds a model and one that tests it, for each model.

A DAG that calls :func:`gold_task_group` is parsed without dbt: the tasks are drawn from the project's small
manifest. The managed dbt environment, the Spark engine and the connection are asked for when a task runs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.dbt.environment import environment_path
from airflow_lakehouse.dbt.manifest import MANIFEST_FILE
from airflow_lakehouse.dbt.model_task import finish, prepare
from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.resources import resource_dir

if TYPE_CHECKING:
    from pathlib import Path

    from cosmos import DbtTaskGroup, ProfileConfig, ProjectConfig, RenderConfig


def gold_task_group(  # noqa: PLR0913 - each is a choice of the DAG's author, by name, with a default
    group_id: str = "gold",
    *,
    conn_id: str = "lakehouse",
    retries: int = 1,
    project: Path | None = None,
    select: list[str] | None = None,
    exclude: list[str] | None = None,
    skip_unchanged: bool = True,
    as_of: str | None = None,
    namespace: str | None = None,
    **operator_args: Any,
) -> DbtTaskGroup:
    """Return a task group that builds and tests every gold model; call it inside a DAG.

    A model states its own retries in ``meta.cosmos.operator_kwargs.retries``.

    :param group_id: id of the group.
    :param conn_id: the ``lakehouse`` connection, read when a task runs.
    :param retries: retries of a model that states none.
    :param project: dbt project with an ``airflow_manifest.json``; the one that ships with this package by default.
    :param select: dbt selectors of the models to draw; all by default.
    :param exclude: dbt selectors of the models to leave out.
    :param skip_unchanged: do not start dbt for a model whose sources and project are as they were when it was built
        and tested; the task succeeds and says so.
    :param as_of: build it from sources as of a run, a tag or a time; today's where it is None. (templated)
    :param namespace: where gold as of a moment goes, such as ``gold_2025q4``; given with ``as_of``, and only then.
    :param operator_args: further arguments of every task, such as ``pool``.
    :raises SetupError: when Cosmos is not installed.
    """
    try:
        from cosmos import DbtTaskGroup, ExecutionConfig, settings
        from cosmos.constants import ExecutionMode, InvocationMode
    except ImportError as error:
        raise SetupError(
            "gold tasks need Cosmos, which is not installed", remedy="pip install 'airflow-lakehouse[cosmos]'"
        ) from error
    # Cosmos reports usage to a third party unless told not to; a place with patient data is not asked twice.
    settings.enable_telemetry = False

    project = project or resource_dir("dbt_example")
    choices: dict[str, Any] = {"conn_id": conn_id, "project": project, "skip_unchanged": skip_unchanged}
    choices |= {"as_of": as_of, "namespace": namespace}
    return DbtTaskGroup(
        group_id=group_id,
        project_config=_project_config(project, partial_parse=as_of is None),
        profile_config=_profile_config(project),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.LOCAL,
            # A process of its own: it can be killed, and Airflow's environment needs no dbt.
            invocation_mode=InvocationMode.SUBPROCESS,
            dbt_executable_path=environment_path() / "bin" / "lakehouse-dbt",
        ),
        render_config=_render_config(select or [], exclude or []),
        operator_args={
            "retries": retries,
            "should_store_compiled_sql": False,
            **operator_args,
            "interceptors": [partial(prepare, **choices)],
            "callback": finish,
        },
    )


def _render_config(select: list[str], exclude: list[str]) -> RenderConfig:
    from cosmos import RenderConfig
    from cosmos.constants import InvocationMode, LoadMode, TestBehavior

    return RenderConfig(
        load_method=LoadMode.DBT_MANIFEST,
        # The default asks for dbt in Airflow's own environment, even where nothing is rendered by dbt.
        invocation_mode=InvocationMode.SUBPROCESS,
        test_behavior=TestBehavior.AFTER_EACH,
        select=select,
        exclude=exclude,
        # Cosmos names assets after a server, not after the table; with a session profile it names none.
        emit_datasets=False,
    )


def _project_config(project: Path, *, partial_parse: bool) -> ProjectConfig:
    from cosmos import ProjectConfig

    # What Cosmos keeps of a parse belongs to one edition of gold: another has other schemas.
    config = ProjectConfig(dbt_project_path=project, install_dbt_deps=False, partial_parse=partial_parse)
    # Given to the constructor it becomes an ObjectStoragePath, whose first use loads every Airflow provider:
    # 0.8 s of each parse, for a local file.
    config.manifest_path = project / MANIFEST_FILE
    return config


def _profile_config(project: Path) -> ProfileConfig:
    from cosmos import ProfileConfig

    return ProfileConfig(profile_name="lakehouse", target_name="spark", profiles_yml_filepath=project / "profiles.yml")
