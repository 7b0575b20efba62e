"""The catalog of a profile through PyIceberg: metadata, small reads and small writes without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_lakehouse.exceptions import ConfigurationError, TableLostError, TableNotFoundError
from airflow_lakehouse.profile import CATALOG_NAME
from airflow_lakehouse.spark.storage import aws_retries
from airflow_lakehouse.spark.storage.local_warehouse import check_directory, check_is_warehouse, sqlite_uri
from airflow_lakehouse.tables import NAMESPACES

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

    from airflow_lakehouse.profile import Profile

COPY_PREFIX = "gold_"
"""How namespaces begin that hold gold as of a moment. Such tables can be read; no run tags them or sets them back."""


def load_pyiceberg(profile: Profile) -> Catalog:
    """Open the catalog.

    :param profile: the lakehouse; a local one must exist.
    :raises ConfigurationError: when the local warehouse holds no catalog.
    """
    from pyiceberg.catalog import load_catalog

    if profile.catalog == "sqlite" and not profile.catalog_file.is_file():
        raise ConfigurationError(
            f"{profile.warehouse_dir} holds no catalog ({profile.catalog_file.name})",
            remedy="give the directory an earlier 'lakehouse run' wrote to, or run one first",
        )
    return load_catalog(CATALOG_NAME, **pyiceberg_properties(profile))


def pyiceberg_properties(profile: Profile) -> dict[str, Any]:
    """Return how PyIceberg opens the catalog of a profile.

    :param profile: the lakehouse.
    """
    properties: dict[str, Any] = {"warehouse": profile.warehouse_uri, **storage_properties(profile)}
    if profile.catalog == "glue":
        region = {"glue.region": profile.region} if profile.region else {}
        return {"type": "glue", **region, **properties}
    return {"type": "sql", "uri": sqlite_uri(profile.catalog_file), **properties}


def find_catalog(profile: Profile) -> Catalog | None:
    """Open the catalog, or return None where a local warehouse is still to be made. Nothing is written.

    :param profile: the lakehouse.
    :raises ConfigurationError: when a local warehouse can be neither opened nor made in its directory.
    """
    if profile.catalog == "sqlite":
        check_directory(profile.warehouse_dir)
        if profile.warehouse_dir.is_dir():
            check_is_warehouse(profile)
        if not profile.catalog_file.is_file() or not profile.catalog_file.stat().st_size:
            return None
    return load_pyiceberg(profile)


def storage_properties(profile: Profile) -> dict[str, str]:
    """Return how what lies in the warehouse is reached, as PyIceberg's properties.

    :param profile: the lakehouse.
    """
    region = {"s3.region": profile.region} if profile.region else {}
    return {**aws_retries.PYICEBERG, **region, **profile.catalog_properties}


def find_table(catalog: Catalog, identifier: str) -> IcebergTable | None:
    """Return a table, or None where the catalog has none of that name.

    :param catalog: from :func:`load_pyiceberg`.
    :param identifier: namespace and name.
    :raises TableLostError: when the catalog has it, and its metadata file is gone or broken.
    """
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError, ValidationError

    try:
        return catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        return None
    except (FileNotFoundError, ValidationError) as error:
        how = "gone" if isinstance(error, FileNotFoundError) else "broken"
        raise TableLostError(
            f"the metadata file of table {identifier!r} is {how}",
            remedy="'lakehouse doctor --warehouse DIR --restore' puts it back as it was before its last commit, or put"
            " back the file from a backup or the bucket's versions; no rule may delete files of a warehouse by age",
        ) from error


def named_metadata(catalog: Catalog, identifier: str) -> tuple[str, str | None]:
    """Return the metadata file the catalog names for a table, and the one before it; neither need be there.

    :param catalog: from :func:`load_pyiceberg`.
    :param identifier: namespace and name of a table it has.
    """
    namespace, _, name = identifier.partition(".")
    if hasattr(catalog, "glue"):
        told = catalog.glue.get_table(DatabaseName=namespace, Name=name)["Table"]["Parameters"]
        return told["metadata_location"], told.get("previous_metadata_location")
    from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
    from sqlalchemy import select
    from sqlalchemy.orm import Session

    assert isinstance(catalog, SqlCatalog)
    columns = select(IcebergTables.metadata_location, IcebergTables.previous_metadata_location)
    is_it = (IcebergTables.table_namespace == namespace) & (IcebergTables.table_name == name)
    with Session(catalog.engine) as session:
        location, previous = session.execute(columns.where(is_it, IcebergTables.catalog_name == catalog.name)).one()
    return str(location), previous


def get_table(catalog: Catalog, name: str) -> IcebergTable:
    """Return a table.

    :param catalog: from :func:`load_pyiceberg`.
    :param name: with or without the namespace.
    :raises TableNotFoundError: when there is no such table; the message lists those there are.
    :raises TableLostError: see :func:`find_table`.
    """
    identifier = named(catalog, name)
    table = find_table(catalog, identifier)
    if table is None:
        raise TableNotFoundError(f"table {identifier!r} was dropped a moment ago", remedy="look again")
    return table


def table_identifiers(catalog: Catalog) -> list[str]:
    """Return every table of the lakehouse as namespace and name, in the order of the layers.

    They are listed and not taken from their definitions: outside parsers and dbt bring tables of their own.

    :param catalog: from :func:`load_pyiceberg`.
    """
    spaces = [space for space in NAMESPACES if (space,) in catalog.list_namespaces()]
    return [".".join(name) for space in spaces for name in sorted(catalog.list_tables(space))]


def copy_identifiers(catalog: Catalog) -> list[str]:
    """Return the tables of gold as of a moment, as namespace and name.

    :param catalog: from :func:`load_pyiceberg`.
    """
    spaces = sorted(space for space in catalog.list_namespaces() if space[0].startswith(COPY_PREFIX))
    return [".".join(name) for space in spaces for name in sorted(catalog.list_tables(space))]


def named(catalog: Catalog, name: str) -> str:
    """Return a table's namespace and name; those of gold as of a moment only by both.

    :param catalog: from :func:`load_pyiceberg`.
    :param name: with or without the namespace.
    :raises TableNotFoundError: when there is no such table; the message lists those there are.
    """
    known = table_identifiers(catalog)
    found = next((one for one in known if name in (one, one.partition(".")[2])), None)
    if found is None and name in copy_identifiers(catalog):
        return name
    if found is None:
        legal = ", ".join(sorted(one.partition(".")[2] for one in known)) or "none yet"
        raise TableNotFoundError(f"this warehouse has no table {name!r}", legal=legal)
    return found


def current_snapshot(catalog: Catalog, identifier: str) -> Snapshot | None:
    """Return the snapshot readers of a table see, or None where it is empty or does not exist.

    :param catalog: from :func:`load_pyiceberg`.
    :param identifier: namespace and name.
    """
    table = find_table(catalog, identifier)
    return table.current_snapshot() if table else None
