"""What happens around dbt in an Airflow task that builds or tests one gold model."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.dbt.edition import Edition
    from airflow_lakehouse.profile import Profile

_log = logging.getLogger(__name__)
_DONE: Final = {"success", "pass", "warn"}
_ATTRIBUTE: Final = "_lakehouse_run"


@dataclass
class _Run:
    """What is remembered from before dbt until after it.

    :param profile: the lakehouse.
    :param model: namespace and name of the gold table; None for other nodes.
    :param inputs: what the model is built from.
    :param lease: keeps the engine up.
    :param before: snapshot the table had.
    :param edition: which gold it belongs to.
    """

    profile: Profile
    model: str | None
    inputs: str | None
    lease: ExitStack
    before: int | None
    edition: Edition


def prepare(  # noqa: PLR0913 - the choices of gold_task_group
    context: Context,
    operator: Any,
    *,
    conn_id: str,
    project: Path,
    skip_unchanged: bool,
    as_of: str | None = None,
    namespace: str | None = None,
) -> None:
    """Give a Cosmos task the environment, the engine and the profile, just before it starts dbt.

    A model that is current starts no engine and no dbt.

    :param context: the task's context.
    :param operator: the Cosmos operator that is about to run.
    :param conn_id: the ``lakehouse`` connection.
    :param project: the dbt project.
    :param skip_unchanged: see :func:`airflow_lakehouse.dbt.task_group.gold_task_group`.
    :param as_of: see there.
    :param namespace: see there.
    """
    from airflow_lakehouse.dbt.edition import edition
    from airflow_lakehouse.dbt.environment import ensure_environment
    from airflow_lakehouse.dbt.invocation import dbt_environ
    from airflow_lakehouse.hooks.lakehouse import LakehouseHook
    from airflow_lakehouse.spark.engine.connect_server import hold_server
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

    profile = LakehouseHook(conn_id).get_profile()
    text = operator.render_template(as_of, context) if as_of is not None else None
    # A template that finds nothing renders the text "None".
    moment = None if text in (None, "", "None") else text
    run = _run_of(operator, profile, project, edition(load_pyiceberg(profile), project, moment, namespace))
    setattr(operator, _ATTRIBUTE, run)
    if skip_unchanged and _is_current(run, operator):
        _log.info("%s is what its sources and its project make of it; dbt is not started", run.model)
        # Cosmos starts a program whatever an interceptor says; this one does nothing, well.
        operator.dbt_executable_path = shutil.which("true") or "true"
        return
    operator.dbt_executable_path = str(ensure_environment().dbt)
    # Held until dbt is done, else the engine may stop as idle in the middle of a long model. Where dbt cannot
    # even be started, the end of this process drops it.
    server = run.lease.enter_context(hold_server())
    environ = dbt_environ(run.profile, remote=server.remote, run_id=str(context["run_id"]), edition=run.edition)
    operator.env = {**(operator.env or {}), **environ}


def finish(project_dir: str, *, context: Context, **_: Any) -> None:
    """Note what was built or tested, and let go of the engine; Cosmos calls this when dbt has ended, well or not.

    :param project_dir: where dbt ran.
    :param context: the task's context.
    """
    from airflow_lakehouse.spark.storage.local_warehouse import checkpoint

    task: Any = context["ti"].task
    run: _Run | None = getattr(task, _ATTRIBUTE, None)
    if run is None:
        return
    run.lease.close()
    if _has_succeeded(Path(project_dir)):
        _note(run, task, context)
    checkpoint(run.profile)


def _run_of(operator: Any, profile: Profile, project: Path, edition: Edition) -> _Run:
    from airflow_lakehouse.dbt import freshness
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

    model = operator.extra_context.get("dbt_node_config", {}).get("name")
    catalog = load_pyiceberg(profile)
    inputs = freshness.fingerprints(catalog, project, edition.snapshots).get(model)
    if inputs is not None and operator.vars:
        inputs = sha256(json.dumps([inputs, operator.vars], sort_keys=True, default=str).encode()).hexdigest()
    if inputs is None:
        return _Run(profile, None, None, ExitStack(), None, edition)
    table = edition.table(model)
    return _Run(profile, table, inputs, ExitStack(), freshness.snapshot_id(catalog, table), edition)


def _is_current(run: _Run, operator: Any) -> bool:
    from airflow_lakehouse.dbt.freshness import BUILT, TESTED, is_marked
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

    marks = {"run": (TESTED, BUILT), "test": (TESTED,)}.get(operator.base_cmd[0])
    if not marks or run.model is None or run.inputs is None or getattr(operator, "full_refresh", False):
        return False
    return is_marked(load_pyiceberg(run.profile), run.model, run.inputs, *marks)


def _has_succeeded(project_dir: Path) -> bool:
    try:
        results = json.loads((project_dir / "target" / "run_results.json").read_text())["results"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(results) and {result["status"] for result in results} <= _DONE


def _note(run: _Run, operator: Any, context: Context) -> None:
    from pyiceberg.exceptions import CommitFailedException

    from airflow_lakehouse.dbt.freshness import BUILT, mark, mark_tested, snapshot_id, tag_gold
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

    if run.model is None or run.inputs is None:
        return
    catalog = load_pyiceberg(run.profile)
    try:
        if operator.base_cmd[0] == "run":
            mark(catalog, run.model, run.inputs, BUILT)
            if run.edition.snapshots is None and snapshot_id(catalog, run.model) != run.before:
                tag_gold(run.profile, str(context["run_id"]), [run.model])
        elif operator.base_cmd[0] == "test":
            mark_tested(catalog, run.model)
    except CommitFailedException:
        # Somebody else wrote to the table just now. Without the note the next run builds it once more.
        _log.warning("%s was written to meanwhile; the next run builds it again", run.model)
