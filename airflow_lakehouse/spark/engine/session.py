"""Spark settings of a profile, and the session a job works in."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.profile import CATALOG_NAME
from airflow_lakehouse.spark.engine.remote import channel_builder, named_file, read
from airflow_lakehouse.spark.storage.local_warehouse import BUSY_MILLISECONDS, checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from airflow_lakehouse.profile import Profile

EXTENSIONS: Final = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
"""SQL extensions a server or cluster must be started with; everything else is set per session."""

SNAPSHOT_PROPERTY: Final = "spark.sql.iceberg.snapshot-property."
"""Prefix of session settings that Iceberg writes into every commit of the session (Iceberg 1.11, Spark 4)."""

_CONNECT_MODE: Final = "SPARK_CONNECT_MODE_ENABLED"
_AWS_PREFIXES: Final = ("client.", "glue.", "s3.")

STAMP: Final = "lakehouse."
"""Prefix of what this package writes into the summary of a snapshot."""


def catalog_conf(profile: Profile) -> dict[str, str]:
    """Return the settings that make a session see the profile's catalog, as Spark conf.

    :param profile: the lakehouse.
    """
    prefix = f"spark.sql.catalog.{CATALOG_NAME}"
    conf = {
        prefix: "org.apache.iceberg.spark.SparkCatalog",
        f"{prefix}.warehouse": profile.warehouse_uri,
        # Iceberg caches tables for 30 s; the next task of a shared server would then read a stale snapshot.
        f"{prefix}.cache-enabled": "false",
        "spark.sql.defaultCatalog": CATALOG_NAME,
    }
    if profile.catalog == "glue":
        conf[f"{prefix}.type"] = "glue"
        conf[f"{prefix}.io-impl"] = "org.apache.iceberg.aws.s3.S3FileIO"
        conf |= {f"{prefix}.{name}": value for name, value in _aws_properties(profile).items()}
    else:
        pragmas = f"journal_mode=WAL&busy_timeout={BUSY_MILLISECONDS}"
        conf[f"{prefix}.type"] = "jdbc"
        conf[f"{prefix}.uri"] = f"jdbc:sqlite:{profile.catalog_file}?{pragmas}"
        # PyIceberg writes schema version V1; Spark's default V0 would not see its tables.
        conf[f"{prefix}.jdbc.schema-version"] = "V1"
    return conf


def _aws_properties(profile: Profile) -> dict[str, str]:
    """Return the properties of the catalog that Iceberg's own AWS client knows, by its names.

    https://iceberg.apache.org/docs/latest/aws/ and https://py.iceberg.apache.org/configuration/ name most alike.
    """
    given = {name: value for name, value in profile.catalog_properties.items() if name.startswith(_AWS_PREFIXES)}
    if profile.region:
        given.setdefault("client.region", profile.region)
    if "s3.endpoint" in given:
        # PyIceberg puts the bucket into the path unless told otherwise, Iceberg's Java into the name of the host.
        virtual = given.get("s3.force-virtual-addressing", "false").lower() == "true"
        given.setdefault("s3.path-style-access", str(not virtual).lower())
    return given


def sql_conf() -> dict[str, str]:
    """Return the SQL settings that transforms rely on, as Spark conf."""
    return {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.adaptive.enabled": "true",
        # A MERGE may not broadcast its target. Hashed where it is small, it spares sorting the text of every new row.
        "spark.sql.join.preferSortMergeJoin": "false",
        # Batches for Python are counted in rows unless told otherwise, and ten thousand PDFs are no batch.
        "spark.sql.execution.arrow.maxBytesPerBatch": str(64 * 2**20),
        # A record with a key that is there twice has a shape all the same, as it has a value for Spark's JSON reader.
        "spark.sql.variant.allowDuplicateKeys": "true",
        # Staged rows go to one folder a table; with so many files open at once they need not be sorted for it.
        "spark.sql.maxConcurrentOutputFileWriters": "24",
    }


@contextmanager
def open_session(profile: Profile, remote: str | None = None) -> Iterator[SparkSession]:
    """Open a session on the profile's catalog and stop it at the end.

    Every session is stopped: two left open hang the interpreter when it exits.

    :param profile: the lakehouse.
    :param remote: address of a Spark Connect server; None on a cluster, where spark-submit has made the session.
    """
    from pyspark.sql import SparkSession

    conf = {**sql_conf(), **catalog_conf(profile)}
    if remote:
        file = named_file()
        builder = _renewed(file) if file else SparkSession.builder.remote(remote)
        for name, value in conf.items():
            # The builder sends all of them at once.
            builder.config(name, value)
        spark = builder.create()
        if file:
            _ship(spark, file)
    else:
        spark = SparkSession.builder.config("spark.sql.extensions", EXTENSIONS).getOrCreate()
    try:
        if not remote:
            for name, value in conf.items():
                spark.conf.set(name, value)
        yield spark
    finally:
        spark.stop()
        if remote:
            _disarm(spark)
        checkpoint(profile)


def _renewed(file: Path) -> SparkSession.Builder:
    """Return the builder of a session whose token is renewed."""
    from pyspark.sql.connect.session import SparkSession

    # As pyspark does for an address: without it, pyspark.sql.functions are those of a JVM in this process.
    os.environ[_CONNECT_MODE] = "1"
    return SparkSession.builder.channelBuilder(channel_builder(file))


def _ship(spark: SparkSession, file: Path) -> None:
    """Give the executors of a session this package."""
    bundle = read(file).bundle
    if bundle:
        spark.addArtifacts(bundle, pyfile=True)


def _disarm(spark: SparkSession) -> None:
    """Keep a stopped session's finalizer from closing its client a second time.

    The client shuts down a thread pool that all sessions of the process share, and waits for it. The garbage collector
    may do so in the middle of another session's call, which holds that pool's lock: both then wait for ever.
    """
    vars(spark)["_client"].close = lambda: None


def stamp(spark: SparkSession, properties: dict[str, str]) -> None:
    """Write properties into the summary of every snapshot this session commits from now on.

    :param spark: the session.
    :param properties: names below :data:`STAMP`.
    """
    for name, value in properties.items():
        spark.conf.set(f"{SNAPSHOT_PROPERTY}{STAMP}{name}", value)


def unstamp(spark: SparkSession, properties: dict[str, str]) -> None:
    """Stop writing properties into snapshots.

    :param spark: the session.
    :param properties: as given to :func:`stamp`.
    """
    for name in properties:
        spark.conf.unset(f"{SNAPSHOT_PROPERTY}{STAMP}{name}")
