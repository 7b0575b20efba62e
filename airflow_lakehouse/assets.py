"""The tables as Airflow assets: ``iceberg://lakehouse/<namespace>/<table>``.

One asset for each definition in :mod:`airflow_lakehouse.tables`, so that a DAG can be scheduled on a table. The
definitions need the standard library alone; only the asset itself comes from Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse import tables
from airflow_lakehouse._compat import make_asset
from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.profile import CATALOG_NAME

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow_lakehouse._compat import Asset, BaseEventTrigger

SCHEME: Final = "iceberg"
_PARTS: Final = 2

JOB_TABLES: Final = {
    "raw_to_bronze": tables.bronze.TABLES,
    "replay_quarantine": tables.bronze.TABLES,
    "bronze_to_silver": tables.silver.TABLES,
}
"""Tables each Spark job may change."""


def table_uri(table: tables.Table) -> str:
    """Return the URI of a table's asset.

    :param table: its definition.
    """
    return f"{SCHEME}://{CATALOG_NAME}/{table.namespace}/{table.name}"


def table_asset(name: str) -> Asset:
    """Return the asset of a table.

    :param name: with or without the namespace.
    :raises TableNotFoundError: when no such table is defined.
    """
    table = tables.by_name(name)
    return make_asset(table_uri(table), table.identifier)


def job_assets(job: str) -> list[Asset]:
    """Return the assets a Spark job may change; none for a job of somebody else's.

    :param job: name of the job.
    """
    return [make_asset(table_uri(table), table.identifier) for table in JOB_TABLES.get(job, ())]


def table_of(asset: object) -> str | None:
    """Return namespace and name of the table an asset is, or None for what is none of this lakehouse.

    :param asset: an asset, or anything else that may be a task's outlet.
    """
    prefix = f"{SCHEME}://{CATALOG_NAME}/"
    uri = str(getattr(asset, "uri", ""))
    return uri.removeprefix(prefix).replace("/", ".") if uri.startswith(prefix) else None


def create_asset(*, catalog: str, namespace: str, table: str) -> Asset:
    """Return the asset of any Iceberg table; Airflow's factory for the ``iceberg`` scheme.

    :param catalog: name of the catalog.
    :param namespace: namespace of the table.
    :param table: name of the table.
    """
    return make_asset(f"{SCHEME}://{catalog}/{namespace}/{table}", f"{namespace}.{table}")


def check_uri(uri: SplitResult) -> SplitResult:
    """Refuse a URI that names no table; Airflow's handler for the ``iceberg`` scheme.

    :param uri: as a DAG gives it.
    :raises ConfigurationError: when it is not ``iceberg://catalog/namespace/table``.
    """
    parts = [part for part in uri.path.split("/") if part]
    if not uri.netloc or len(parts) != _PARTS:
        raise ConfigurationError(
            f"asset URI {uri.geturl()!r} names no table", legal=f"{SCHEME}://catalog/namespace/table"
        )
    return uri._replace(path="/" + "/".join(parts))


def watched_table(name: str, **arguments: Any) -> Asset:
    """Return the asset of a table, watched for commits of data by anybody; on Airflow 2 nothing watches it.

    :param name: with or without the namespace.
    :param arguments: of :class:`~airflow_lakehouse.triggers.watch.NewSnapshotsTrigger`, such as the connection.
    :raises TableNotFoundError: when no such table is defined.
    """
    # Imported when used: a DAG that only names an asset needs no trigger.
    from airflow_lakehouse.triggers.watch import NewSnapshotsTrigger

    table = tables.by_name(name)
    watch = NewSnapshotsTrigger(**{"table": table.identifier, **arguments})
    return make_asset(table_uri(table), table.identifier, {"commits": watch})


def watched_drop(prefix: str, *, queue_url: str | None = None, **arguments: Any) -> Asset:
    """Return the asset of a raw drop in S3, watched for new objects; on Airflow 2 nothing watches it.

    :param prefix: ``s3://bucket/prefix``; also the asset's URI.
    :param queue_url: SQS queue that S3 tells of new objects; without one the prefix is listed.
    :param arguments: of :class:`~airflow_lakehouse.triggers.watch.NewEventsTrigger` or
        :class:`~airflow_lakehouse.triggers.watch.NewVersionsTrigger`.
    """
    from airflow_lakehouse.triggers.watch import NewEventsTrigger, NewVersionsTrigger

    watch: BaseEventTrigger
    if queue_url:
        watch = NewEventsTrigger(**{"queue_url": queue_url, "prefix": prefix, **arguments})
    else:
        watch = NewVersionsTrigger(**{"prefix": prefix, **arguments})
    return make_asset(prefix, prefix, {"objects": watch})
