"""Which jars belong to which Spark, and fetching them once.

Iceberg's runtime is built per Spark minor version, and no Iceberg exists for Spark 4.2 or 4.3: with those every
statement dies with an ``IncompatibleClassChangeError``. The pair is therefore looked up, never guessed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.spark.engine.java import find_java

JARS_VARIABLE: Final = "LAKEHOUSE_JARS"
"""Environment variable that names a directory with the jars, for machines that may not download."""

_SQLITE: Final = ("org.xerial", "sqlite-jdbc", "3.53.2.0")
_ICEBERG: Final = {
    "3.5": ("org.apache.iceberg", "iceberg-spark-runtime-3.5_2.12", "1.10.0"),
    "4.0": ("org.apache.iceberg", "iceberg-spark-runtime-4.0_2.13", "1.10.1"),
    "4.1": ("org.apache.iceberg", "iceberg-spark-runtime-4.1_2.13", "1.11.0"),
}
_AWS: Final = ("org.apache.iceberg", "iceberg-aws-bundle")
_FETCH_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Artifact:
    """One jar by its Maven coordinates."""

    group: str
    name: str
    version: str

    @property
    def file_name(self) -> str:
        """Name of the jar file."""
        return f"{self.name}-{self.version}.jar"


def needed_jars(spark_version: str) -> tuple[Artifact, ...]:
    """Return the jars a local engine needs beside Spark's own.

    :param spark_version: version of pyspark, such as ``4.1.4``.
    :raises SetupError: when no Iceberg exists for that Spark.
    """
    minor = ".".join(spark_version.split(".")[:2])
    if minor not in _ICEBERG:
        raise SetupError(
            f"no Iceberg runtime works with pyspark {spark_version}",
            legal=f"pyspark {', '.join(_ICEBERG)}",
            remedy="pip install 'pyspark[connect]>=4.1,<4.2'",
        )
    return Artifact(*_ICEBERG[minor]), Artifact(*_SQLITE)


def aws_jar(spark_version: str) -> Artifact:
    """Return the jar a local engine needs for a Glue catalog and tables in S3: Amazon's client, of the same Iceberg.

    Seventy megabytes that a lakehouse on this machine has no use for; a cluster of Amazon's has its own.

    :param spark_version: see :func:`needed_jars`.
    :raises SetupError: see :func:`needed_jars`.
    """
    return Artifact(*_AWS, needed_jars(spark_version)[0].version)


def spark_home() -> Path:
    """Return the directory of the installed pyspark.

    :raises SetupError: when pyspark is not installed.
    """
    try:
        import pyspark
    except ImportError as error:
        raise SetupError("pyspark is not installed", remedy="pip install 'airflow-lakehouse[local]'") from error
    return Path(pyspark.__file__).parent


def installed_spark_version() -> str:
    """Return the version of the installed pyspark."""
    spark_home()
    from pyspark.version import __version__

    return str(__version__)


def jars_dir() -> Path:
    """Return the directory the jars are kept in: ``LAKEHOUSE_JARS``, else one below this Python environment."""
    return Path(os.environ.get(JARS_VARIABLE) or Path(sys.prefix) / "share" / "airflow-lakehouse" / "jars")


def local_jars() -> tuple[Path, ...]:
    """Return the paths of the jars for the installed pyspark.

    :raises SetupError: when one is missing.
    """
    paths = tuple(jars_dir() / artifact.file_name for artifact in needed_jars(installed_spark_version()))
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise SetupError(
            f"{', '.join(missing)} not found in {jars_dir()}",
            remedy=f"run 'lakehouse fetch-jars', or copy them there from a connected machine, or set {JARS_VARIABLE}",
        )
    return paths


def engine_jars() -> tuple[Path, ...]:
    """Return the paths of the jars an engine is started with: :func:`local_jars`, and the one for AWS if it is there.

    :raises SetupError: when one is missing.
    """
    aws = jars_dir() / aws_jar(installed_spark_version()).file_name
    return (*local_jars(), aws) if aws.is_file() else local_jars()


def check_aws_jar() -> None:
    """Make sure that an engine started now can read a Glue catalog.

    :raises SetupError: when its jar is missing.
    """
    aws = jars_dir() / aws_jar(installed_spark_version()).file_name
    if aws not in engine_jars():
        raise SetupError(
            f"a Glue catalog needs {aws.name}, which is not in {jars_dir()}",
            remedy=f"run 'lakehouse fetch-jars --aws', copy it there from a connected machine, or set {JARS_VARIABLE}",
        )


def fetch_jars(*, aws: bool = False) -> tuple[Path, ...]:
    """Fetch what is missing, by the Ivy that Spark ships (it verifies checksums and honours Ivy's own settings).

    :param aws: the jar for Glue and S3, too.
    :return: the paths of all jars.
    :raises SetupError: when a jar cannot be fetched.
    """
    target = jars_dir()
    target.mkdir(parents=True, exist_ok=True)
    version = installed_spark_version()
    for artifact in (*needed_jars(version), *([aws_jar(version)] if aws else [])):
        if not (target / artifact.file_name).is_file():
            _fetch(artifact, target)
    return engine_jars()


def _fetch(artifact: Artifact, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="lakehouse-ivy-") as scratch:
        command = [
            find_java(),
            "-cp",
            f"{spark_home() / 'jars'}/*",
            "org.apache.ivy.Main",
            *("-cache", f"{scratch}/cache", "-notransitive", "-confs", "default", "-types", "jar", "bundle"),
            *("-dependency", artifact.group, artifact.name, artifact.version),
            *("-retrieve", f"{scratch}/[artifact]-[revision].[ext]"),
        ]
        settings = os.environ.get("LAKEHOUSE_IVY_SETTINGS")
        if settings:
            command += ["-settings", settings]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise _not_fetched(artifact, target) from error
        fetched = Path(scratch) / artifact.file_name
        if done.returncode or not fetched.is_file():
            raise _not_fetched(artifact, target)
        # Moved under its final name last: a killed set-up must not leave half a jar that looks whole.
        partial = target / f".{artifact.file_name}.{os.getpid()}"
        shutil.copyfile(fetched, partial)
        partial.replace(target / artifact.file_name)


def _not_fetched(artifact: Artifact, target: Path) -> SetupError:
    return SetupError(
        f"{artifact.group}:{artifact.name}:{artifact.version} could not be fetched",
        remedy="check the network, point LAKEHOUSE_IVY_SETTINGS at your mirror's Ivy settings,"
        f" or copy the jar to {target}",
    )
