"""``lakehouse doctor``: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import TYPE_CHECKING

from airflow_lakehouse.exceptions import LakehouseError, SetupError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no option.

    :param parser: of the subcommand.
    """
    del parser


def run(options: argparse.Namespace) -> int:
    """Print one line a check; exit 1 when one does not hold.

    :param options: the parsed options.
    """
    del options
    failed = 0
    for name, check in _checks():
        try:
            sys.stdout.write(f"ok      {name}: {check()}\n")
        except LakehouseError as error:
            failed += 1
            sys.stdout.write(f"missing {name}: {error}\n")
    return 1 if failed else 0


def _checks() -> Iterator[tuple[str, Callable[[], str]]]:
    from airflow_lakehouse.dbt.environment import ensure_environment
    from airflow_lakehouse.parsing import load_registry
    from airflow_lakehouse.spark import connect_server, jars
    from airflow_lakehouse.spark.java import find_java

    yield "python", lambda: sys.version.split()[0]
    yield "java", find_java
    yield "pyspark", jars.installed_spark_version
    yield "one pyspark", _one_pyspark
    yield "jars", lambda: ", ".join(path.name for path in jars.local_jars())
    yield "parsers", lambda: ", ".join(load_registry().parsers)
    yield "ocr", _ocr
    yield "dbt environment", lambda: str(ensure_environment().path)
    yield "engine", lambda: "running" if connect_server.running_server() else "not running; it starts on demand"


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
