"""``lakehouse doctor``: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import TYPE_CHECKING

from airflow_lakehouse.exceptions import ConfigurationError, LakehouseError, SetupError, TableLostError
from airflow_lakehouse.profile import Profile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    parser.add_argument("--warehouse", metavar="DIR", help="look at the tables of this lakehouse, too")
    parser.add_argument(
        "--restore", action="store_true", help="put back its tables whose metadata is lost, as they were before"
    )
    parser.add_argument("--parser", action="append", default=[], metavar="FILE", help="a parser plugin of one file")


def run(options: argparse.Namespace) -> int:
    """Print one line a check; exit 1 when one does not hold.

    :param options: the parsed options.
    :raises ConfigurationError: when tables are to be put back, and it is not said of which lakehouse.
    """
    if options.restore and not options.warehouse:
        raise ConfigurationError("doctor --restore names no lakehouse", remedy="add --warehouse DIR")
    checks = [*_checks(), *(_tables(options) if options.warehouse else ())]
    failed = 0
    for name, check in checks:
        try:
            sys.stdout.write(f"ok      {name}: {check()}\n")
        except LakehouseError as error:
            failed += 1
            sys.stdout.write(f"missing {name}: {error}\n")
    return 1 if failed else 0


def _checks() -> Iterator[tuple[str, Callable[[], str]]]:
    from airflow_lakehouse.dbt.environment import ensure_environment
    from airflow_lakehouse.parsing import load_registry
    from airflow_lakehouse.spark.engine import connect_server, jars
    from airflow_lakehouse.spark.engine.java import find_java

    yield "python", lambda: sys.version.split()[0]
    yield "java", find_java
    yield "pyspark", jars.installed_spark_version
    yield "one pyspark", _one_pyspark
    yield "jars", lambda: ", ".join(path.name for path in jars.engine_jars())
    yield "parsers", lambda: ", ".join(load_registry().parsers)
    yield "ocr", _ocr
    yield "dbt environment", lambda: str(ensure_environment().path)
    yield "engine", lambda: "running" if connect_server.running_server() else "not running; it starts on demand"


def _tables(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], str]]]:
    from airflow_lakehouse.spark import restore
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg, table_identifiers

    profile = Profile(options.warehouse, parsers=tuple(options.parser))

    def check() -> str:
        lost = restore.restore(profile) if options.restore else restore.lost_tables(load_pyiceberg(profile))
        told = [f"{table.name} (last whole: {table.at if table.metadata else 'never'})" for table in lost]
        if lost and not options.restore:
            raise TableLostError(f"the metadata is gone or broken of {', '.join(told)}", remedy="add --restore")
        return f"put back: {', '.join(told)}" if lost else f"{len(table_identifiers(load_pyiceberg(profile)))} whole"

    yield "tables", check


def _one_pyspark() -> str:
    """Spark's full and its client distribution share one folder; installed together they overwrite one another."""
    found = [name for name in ("pyspark", "pyspark-client") if _version(name)]
    if len(found) > 1:
        raise SetupError(
            "pyspark and pyspark-client are both installed",
            remedy="pip uninstall pyspark-client pyspark, then install 'airflow-lakehouse[local]' again",
        )
    return ", ".join(found)


def _ocr() -> str:
    version = _version("rapidocr")
    if version is None:
        raise SetupError("rapidocr is not installed", remedy="pip install 'airflow-lakehouse[ocr]'")
    return f"rapidocr {version}"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
