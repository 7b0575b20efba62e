"""Telling winners from losers, on the few rows that share a key, and what a cut rejects on its way through Spark."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_lakehouse.exceptions import ParserError
from airflow_lakehouse.parsing import RecordParser, load_registry
from airflow_lakehouse.spark.bronze import cutting, staging
from airflow_lakehouse.spark.silver.conform import RESOURCE
from airflow_lakehouse.spark.transforms import versions
from airflow_lakehouse.tables import bronze, silver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

_SCHEMA = (
    "source_uri STRING, source_etag STRING, source_row BIGINT, source_entry INT, source_system STRING,"
    " resource_id STRING, version_id STRING, last_updated TIMESTAMP, ingested_at TIMESTAMP, body_sha256 STRING,"
    " deleted BOOLEAN, flags ARRAY<STRING>"
)
_NAMES = [column.split()[0] for column in _SCHEMA.split(", ")]

_LONG = "9" * 64
"""A version that is longer than any number of Spark."""


def _row(rng: random.Random, number: int) -> tuple[Any, ...]:
    day = rng.choice([None, *(datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))])
    loaded = datetime(2026, 2, rng.choice([1, 2]), tzinfo=UTC)
    id_ = rng.choice([None, *(f"id-{one}" for one in range(40))])
    version = rng.choice([None, "9", "10", "x", 'W/"11"', _LONG])
    system, sha, deleted = rng.choice("ab"), rng.choice("xyz"), rng.random() < 0.1
    flags = rng.choice([[], [], [], ["BAD_META"], ["BAD_META", "UNKNOWN_MODIFIER"]])
    return ("u", "e", number, 0, system, id_, version, day, loaded, sha, deleted, flags)


def _number(version: str | None) -> int:
    """Return the number a versionId is, or that of an ETag; -1 for none."""
    bare = (version or "").removeprefix("W/").strip('"')
    return int(bare) if bare.isdigit() else -1


def _expected(rows: list[tuple[Any, ...]]) -> dict[int, str]:
    """Return the class of every row that loses, told one by one."""
    low = datetime(1, 1, 1, tzinfo=UTC)
    held: dict[tuple[str, str], list[dict[str, Any]]] = {}
    found = {}
    for row in (dict(zip(_NAMES, values, strict=True)) for values in rows):
        if row["resource_id"] is None:
            found[row["source_row"]] = versions.EXCLUDED
        else:
            held.setdefault((row["source_system"], row["resource_id"]), []).append(row)
    for rivals in held.values():
        for row in rivals:
            row["at"] = (row["last_updated"] or low, _number(row["version_id"]))
        for row in rivals:
            there = [one for one in rivals if not (one["deleted"] and one["at"][0] == low)]
            before = [one["at"] for one in there if one["ingested_at"] <= row["ingested_at"]]
            known = max(before, default=(low, -1))
            version = row["at"][1]
            is_timeless = row["deleted"] and row["at"][0] == low
            is_after = is_timeless and known > (low, -1) and (version == -1 or version >= known[1])
            row["place"] = (known[0], max(version, known[1]), True) if is_after else (*row["at"], False)
        rivals.sort(
            key=lambda row: (
                row["place"],
                row["ingested_at"],
                row["deleted"],
                row["body_sha256"],
                row["source_row"],
            )
        )
        newest = rivals.pop()
        if newest["deleted"] or "UNKNOWN_MODIFIER" in newest["flags"]:
            found[newest["source_row"]] = versions.EXCLUDED
        found |= {row["source_row"]: versions.SUPERSEDED for row in rivals}
    return found


def test_losers_are_those_a_reader_would_name(lakehouse_spark: SparkSession) -> None:
    """On random versions, with and without rivals, ids and times, the classes are those of a plain sort."""
    rng = random.Random(4)  # noqa: S311 - made-up rows
    rows = [_row(rng, number) for number in range(150)]
    lost = versions.losers(lakehouse_spark.createDataFrame(rows, _SCHEMA), RESOURCE, silver.KEEP_NEWEST).collect()
    assert {row["source_row"]: row[versions.CLASS] for row in lost} == _expected(rows)


class _Forgetful:
    """A parser whose lift() drops the column that carries rejects."""

    name, version, tables = "forgetful", "1", (bronze.OTHER,)

    def lift(self, records: DataFrame) -> DataFrame:
        return records.drop("rejected")


def test_a_lift_that_loses_rejects_is_refused(lakehouse_spark: SparkSession) -> None:
    """What was rejected in the cut cannot vanish in the lift: the parser is named, with what it has to return."""
    pieces = lakehouse_spark.createDataFrame([], cutting.PIECES)
    with pytest.raises(ParserError, match=r"forgetful.*rejected"):
        staging._lifted(pieces, cast("RecordParser", _Forgetful()))


def test_rejects_come_through_the_lift(lakehouse_spark: SparkSession) -> None:
    """A reject keeps reason, detail and bytes; a record gets its table; neither takes the other's columns."""
    record: tuple[Any, ...] = (0, 1, 0, '{"resourceType":"Patient","id":"p"}', {}, None, None, None, None, None)
    reject: tuple[Any, ...] = (0, 2, 0, None, {}, None, None, "TRUNCATED_JSON", "the text ends", bytearray(b"{"))
    pieces = lakehouse_spark.createDataFrame([record, reject], cutting.PIECES)
    fhir = load_registry(()).get("fhir")
    assert isinstance(fhir, RecordParser)
    lifted = staging._lifted(pieces, fhir)
    rows = {row["position"]: row.asDict() for row in lifted.collect()}
    assert rows[1]["target"] == bronze.PATIENT.name
    assert (rows[1]["reason"], rows[1]["raw"]) == (None, None)
    assert (rows[2]["reason"], rows[2]["detail"], bytes(rows[2]["raw"])) == ("TRUNCATED_JSON", "the text ends", b"{")
    assert (rows[2]["target"], rows[2]["body"]) == (None, None)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), data=st.data())
def test_the_winner_does_not_depend_on_order_or_repetition(
    lakehouse_spark: SparkSession, seed: int, data: st.DataObject
) -> None:
    """Rows in any order, and sent twice, leave the same content standing for every resource."""
    rng = random.Random(seed)  # noqa: S311 - made-up rows
    rows = [_row(rng, number) for number in range(30)]
    again = [(*row[:2], row[2] + 1000, *row[3:]) for row in data.draw(st.lists(st.sampled_from(rows), max_size=10))]
    dealt = data.draw(st.permutations([*rows, *{row[2]: row for row in again}.values()]))

    def standing(given_rows: list[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
        frame = lakehouse_spark.createDataFrame(given_rows, _SCHEMA)
        lost = versions.losers(frame, RESOURCE, silver.KEEP_NEWEST)
        kept = versions.winners(frame, lost).drop("source_row", "flags").collect()
        assert len({(row["source_system"], row["resource_id"]) for row in kept}) == len(kept)
        return {tuple(row) for row in kept}

    assert standing(dealt) == standing(rows)
