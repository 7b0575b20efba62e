"""Set tables back to what a run left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_lakehouse._compat import BaseOperator
from airflow_lakehouse.hooks.edge import airflow_errors
from airflow_lakehouse.hooks.lakehouse import LakehouseHook
from airflow_lakehouse.hooks.profile import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_lakehouse._compat import Context


class IcebergRollbackOperator(BaseOperator):
    """Set tables back to the snapshots a run left, in metadata alone: no engine is started, and no snapshot goes.

    Files whose rows are gone are loaded again by the next ``raw_to_bronze``, which doubles nothing. Take them out of
    the drop, or mend them, first. Run it while no other task writes to the tables.

    Returns ``run_id``, ``tables`` (name to ``snapshot_id`` and the one it ``was``) and ``files``: how many the next
    load takes again.

    :param to_run_id: the run: what ``lakehouse runs`` lists, as a rule a DAG run's id. (templated)
    :param tables: tables, with or without the namespace, as a list or as text with commas between; by default all.
        (templated)
    :param rebuild: set back what would be ahead of these tables, too; else the task fails and changes nothing.
    :param lakehouse_conn_id: connection with the profile. (templated)
    """

    template_fields = ("to_run_id", "tables", "lakehouse_conn_id")
    ui_color = "#f0d5d5"

    def __init__(
        self,
        *,
        to_run_id: str,
        tables: Sequence[str] | str = (),
        rebuild: bool = False,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.to_run_id = to_run_id
        self.tables = tables
        self.rebuild = rebuild
        self.lakehouse_conn_id = lakehouse_conn_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow passes it
        """Set the tables back.

        :param context: the task's context.
        """
        from airflow_lakehouse.spark.rollback import roll_back

        with airflow_errors():
            profile = LakehouseHook(self.lakehouse_conn_id).get_profile()
            # A template that is not rendered as a native object gives text.
            names = self.tables.replace(",", " ").split() if isinstance(self.tables, str) else self.tables
            result = roll_back(profile, self.to_run_id, names, rebuild=self.rebuild)
        self.log.info(
            "Set back to %s: %s; files to load again: %d", self.to_run_id, list(result["tables"]), result["files"]
        )
        return result
