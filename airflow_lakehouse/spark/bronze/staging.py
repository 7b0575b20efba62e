"""Records cut out of files and typed once, kept as Parquet until their load is done.

Files are read by Python on Spark's workers, record by record (:mod:`airflow_lakehouse.spark.bronze.cutting`);
everything after that is Spark's own work. The result is stored rather than recomputed: eight tables are filled from it,
and a MERGE whose source is not stable may write other rows when Spark retries a task.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import ParserError
from airflow_lakehouse.parsing import REJECTED, Parser, RecordParser
from airflow_lakehouse.spark.bronze import cutting
from airflow_lakehouse.spark.engine.job_session import staging_root
from airflow_lakehouse.spark.storage import files
from airflow_lakehouse.spark.storage.catalog import storage_properties

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.spark.bronze.ledger_rows import Entry
    from airflow_lakehouse.tables import Table

UNKNOWN_TABLE: Final = "UNKNOWN_TABLE"
"""The parser names a table that is not one of its own."""
_ABANDONED_SECONDS: Final = 3 * 24 * 3600
_PAYLOAD_AS_TEXT: Final = ("timestamp", "date", "decimal")


def stage(
    spark: SparkSession, entries: list[Entry], parser: Parser | RecordParser, modules: tuple[str, ...], path: str
) -> DataFrame:
    """Cut and type the records of some files, and store them below ``path``, one folder a target table.

    :param spark: the session.
    :param entries: the files; all of them are the parser's.
    :param parser: who reads them.
    :param modules: single-file plugins the workers must load to find the parser.
    :param path: URI of a folder of this run's own.
    :return: the stored records.
    """
    pieces = cutting.cut(spark, entries, parser.name, modules)
    typed = _lifted(pieces, parser) if isinstance(parser, RecordParser) else _from_payload(pieces, parser)
    typed.write.mode("overwrite").options(**files.STAGED).partitionBy("target").parquet(path)
    return spark.read.schema(typed.schema).parquet(path)


def clear(area: str, profile: Profile) -> None:
    """Delete what a run has staged.

    :param area: the folder of the run's own.
    :param profile: its lakehouse.
    """
    files.delete_folder(area, storage_properties(profile))


def clear_abandoned(profile: Profile) -> None:
    """Delete what runs that were killed have staged, once no run can still be using it.

    :param profile: their lakehouse.
    """
    root, newest = staging_root(profile), dict[str, float]()
    for name, _, written in files.list_below(root, storage_properties(profile)):
        run = name.split("/")[0]
        newest[run] = max(newest.get(run, 0.0), written)
    for run, touched in newest.items():
        # A folder in which nothing is dated is left alone.
        if 0 < touched < time.time() - _ABANDONED_SECONDS:
            clear(f"{root}/{run}", profile)


def _lifted(pieces: DataFrame, parser: RecordParser) -> DataFrame:
    from pyspark.sql import functions as F

    # One pass: records and rejects taken apart here would make Spark read and cut every file twice.
    rejected = F.when(F.col("reason").isNotNull(), F.struct("reason", "detail", "raw")).alias(REJECTED)
    read = parser.lift(pieces.select("file_no", "position", "entry", "body", "attributes", rejected))
    if REJECTED not in read.columns:
        raise ParserError(
            f"parser {parser.name!r}: lift() lost the column {REJECTED!r}, and with it what cut() rejected",
            remedy="return the column as it was given",
        )
    was_cut, own = F.col(REJECTED).isNull(), F.col("reason")
    reason = F.when(was_cut, own).otherwise(F.col(f"{REJECTED}.reason"))
    raw = F.when(was_cut & own.isNotNull(), F.encode("body", "UTF-8")).otherwise(F.col(f"{REJECTED}.raw"))
    settled = {
        "reason": reason,
        "target": F.when(was_cut, F.col("target")),
        "detail": F.when(was_cut, F.col("detail")).otherwise(F.col(f"{REJECTED}.detail")),
        "raw": raw,
        "body": F.when(was_cut & own.isNull(), F.col("body")),
    }
    others = [name for name in read.columns if name not in (*settled, REJECTED)]
    return read.select(*others, *(column.alias(name) for name, column in settled.items()))


def _from_payload(pieces: DataFrame, parser: Parser) -> DataFrame:
    from pyspark.sql import functions as F

    known = [table.name for table in parser.tables]
    if len({column.name for table in parser.tables for column in table.columns}) == 0:
        raise ParserError(f"parser {parser.name!r} fills no table", remedy="name its bronze tables in `tables`")
    right = F.col("reason").isNotNull() | F.col("target").isin(known)
    # Named after what went wrong rather than dropped: a misspelled table must not lose its rows.
    strange = F.when(~right, F.lit(UNKNOWN_TABLE))
    reason = F.coalesce(F.col("reason"), strange).alias("reason")
    target = F.when(right, F.col("target")).alias("target")
    return pieces.select("file_no", "position", "entry", target, reason, "detail", "raw", "payload")


def payload_columns(table: Table, names: set[str]) -> list[Column]:
    """Return the columns of a table read back from the payload of a row parser.

    :param table: the target.
    :param names: columns that come from elsewhere and are left out.
    """
    from pyspark.sql import functions as F

    wanted = [column for column in table.columns if column.name not in names]
    schema = ", ".join(f"`{column.name}` {_payload_type(column.type)}" for column in wanted)
    read = F.from_json("payload", schema)
    return [read.getField(column.name).try_cast(column.type).alias(column.name) for column in wanted]


def _payload_type(type_: str) -> str:
    return "string" if type_.startswith(_PAYLOAD_AS_TEXT) else {"long": "bigint"}.get(type_, type_)
