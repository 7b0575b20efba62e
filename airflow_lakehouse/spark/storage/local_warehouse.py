"""The directory of a warehouse on this machine, and the SQLite file in it: what may be made where, by whom."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.profile import CATALOG_NAME
from airflow_lakehouse.tables import NAMESPACES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_lakehouse.profile import Profile

BUSY_MILLISECONDS: Final = 60_000
"""How long a writer of the SQLite catalog waits for another, in Spark, in PyIceberg and here alike: whoever gives up
first fails a run that had only to wait, for a backup of the file, say."""
PARTIAL: Final = ".partial"
"""How the name of a catalog ends that is still being made."""
_OWN: Final = (
    "catalog.db",
    "catalog.db-wal",
    "catalog.db-shm",
    # There for a moment while another run makes the catalog.
    *(f"catalog.db{PARTIAL}{part}" for part in ("", "-journal", "-wal", "-shm")),
    "textract",
    *NAMESPACES,
    "_staging",
    "gold_logs",
    "logs",
)


def sqlite_uri(file: Path) -> str:
    """Return the address of a catalog's file for SQLAlchemy.

    :param file: of SQLite.
    """
    # Left to itself, Python's driver gives up after five seconds.
    return f"sqlite:///{file}?timeout={BUSY_MILLISECONDS // 1000}"


def create_local_catalog(profile: Profile) -> None:
    """Make sure that a local warehouse and its SQLite catalog exist.

    :param profile: a profile with the SQLite catalog; any other is left alone.
    :raises ConfigurationError: when the warehouse cannot be written, or is something else.
    """
    if profile.catalog != "sqlite":
        return
    directory = profile.warehouse_dir
    check_directory(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"warehouse {directory} cannot be created: {error.strerror}", remedy="give a directory that can be written"
        ) from error
    if not os.access(directory, os.W_OK):
        raise ConfigurationError(
            f"warehouse {directory} cannot be written", remedy="mend its permissions or give another"
        )
    with locked(directory):
        check_is_warehouse(profile)
        file = profile.catalog_file
        if not file.is_file() or not file.stat().st_size:
            # Beside its place first: a run that found the file without its tables would make them as well, and one of
            # the two would fail.
            partial = file.with_name(f"{file.name}{PARTIAL}")
            partial.unlink(missing_ok=True)
            _fill_catalog(profile, partial)
            partial.replace(file)
        else:
            _fill_catalog(profile, file)


def _fill_catalog(profile: Profile, file: Path) -> None:
    """Give a SQLite file what it lacks of a catalog, and leave nothing of it open."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.catalog.sql import SqlCatalog

    with closing(sqlite3.connect(file, timeout=BUSY_MILLISECONDS / 1000)) as connection:
        # Write-ahead logging lets readers go on while a commit is made; it stays with the file.
        connection.execute("PRAGMA journal_mode=WAL")
    catalog = load_catalog(CATALOG_NAME, type="sql", uri=sqlite_uri(file), warehouse=profile.warehouse_uri)
    assert isinstance(catalog, SqlCatalog)
    try:
        for namespace in NAMESPACES:
            catalog.create_namespace_if_not_exists(namespace)
    finally:
        # An open connection keeps part of the file in its log, which bears the file's name.
        catalog.engine.dispose()


def checkpoint(profile: Profile) -> None:
    """Write the SQLite log back, so that ``catalog.db`` alone can be copied and read.

    :param profile: a profile with the SQLite catalog; any other is left alone.
    """
    if profile.catalog == "sqlite" and profile.catalog_file.is_file():
        with closing(sqlite3.connect(profile.catalog_file, timeout=BUSY_MILLISECONDS / 1000)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def check_directory(directory: Path) -> None:
    """Check that a directory is there, or can be made.

    :param directory: of the warehouse.
    :raises ConfigurationError: when it is a file.
    """
    if directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"warehouse {directory} is a file", legal="a directory, new or an earlier warehouse")


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Let one process at a time make the catalog: of two that look and then create, the later one fails.

    :param directory: of the warehouse.
    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check_is_warehouse(profile: Profile) -> None:
    """Check that a directory is empty or holds a catalog.

    :param profile: a profile with the SQLite catalog.
    :raises ConfigurationError: when it holds other things, or the catalog's file is something else.
    """
    directory, file = profile.warehouse_dir, profile.catalog_file
    if file.is_file() and file.stat().st_size:
        with file.open("rb") as stream:
            if stream.read(16) != b"SQLite format 3\x00":
                raise ConfigurationError(f"{file} is not a SQLite file", remedy="give another warehouse directory")
    elif any(entry.name not in _OWN for entry in directory.iterdir()):
        # A typing error must not sprinkle tables over somebody's home directory or raw drop.
        raise ConfigurationError(
            f"{directory} holds other files and no catalog ({file.name})",
            legal="an empty or new directory, or an earlier warehouse",
        )
