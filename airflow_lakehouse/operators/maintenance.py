"""Keep the tables of a lakehouse cheap to read: compaction, expiry and the rest, where they are due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_lakehouse.operators.iceberg_spark import IcebergSparkOperator
from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse.profile import Profile


class IcebergMaintenanceOperator(IcebergSparkOperator):
    """Maintain the tables that are past a threshold of the policy; start nothing where none is.

    What is due is planned in the worker, from Iceberg's metadata. Where something is, the job ``maintain`` plans again
    and does it, and everything else is as with :class:`IcebergSparkOperator`: a retry finds the job of the attempt
    before it, and waiting may be deferred.

    Returns counts only. ``tables`` has, for each table that was maintained, ``rows``, ``files``, ``files_saved``,
    ``bytes``, ``bytes_saved``, ``snapshots``, ``snapshots_expired`` and, where something was deleted, ``files_freed``
    and ``bytes_freed``; ``status`` is ``unchanged`` where nothing was due. No asset is updated: nothing that reads the
    tables finds anything else in them.

    :param policy: the thresholds, and which tables; as an object or as its fields. (templated, as ``arguments``)
    :param kwargs: as for :class:`IcebergSparkOperator`, except for ``job`` and ``arguments``.
    """

    def __init__(self, *, policy: MaintenancePolicy | Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        fields = policy.as_dict() if isinstance(policy, MaintenancePolicy) else dict(policy or {})
        super().__init__(job="maintain", arguments={"policy": fields}, **kwargs)

    def is_due(self, profile: Profile) -> bool:
        """Tell whether a table is past a threshold.

        :param profile: the lakehouse.
        """
        from airflow_lakehouse.spark.maintenance.survey import survey
        from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

        policy = MaintenancePolicy.from_dict(self.arguments["policy"])
        found = survey(load_pyiceberg(profile), policy)
        for step, left_to in ((step, finding.left.get(step)) for finding in found for step in finding.every):
            which = f"left to the {left_to} of AWS Glue" if left_to else step.action
            self.log.info("%s: %s, since %s", step.table, which, step.reason)
        return any(finding.steps for finding in found)
