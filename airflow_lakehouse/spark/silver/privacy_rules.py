"""The rules of de-identification as Spark SQL expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.profile import YEAR
from airflow_lakehouse.spark.transforms.references import names_a_resource
from airflow_lakehouse.tables import privacy as rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.tables.spec import Column

_HASH_LENGTH: Final = 32
_MOST_DAYS: Final = 182
_CODE: Final = "^[^\\\\s]{1,64}$"
_SECONDS_OF_A_YEAR: Final = 365 * 24 * 3600
# Beyond these years a shift would leave the years that readers have.
_SHIFTABLE: Final = "year({0}) BETWEEN 2 AND 9997"
_EXACT: Final = "('day', 'second', 'fraction')"


def mac(message: str, length: int = _HASH_LENGTH) -> str:
    """Return HMAC-SHA256 (RFC 2104) in hex, cut to 128 bits; null for null.

    :param message: SQL expression of a text.
    :param length: hex digits.
    """
    inner = f"unhex(sha2(concat(_inner, encode({message}, 'UTF-8')), 256))"
    return f"left(sha2(concat(_outer, {inner}), 256), {length})"


def hashed_id(type_: str, id_: str) -> str:
    """Return what stands for the id of a resource.

    :param type_: SQL expression of its type.
    :param id_: SQL expression of its id.
    """
    return mac(f"concat(source_system, '|', {type_}, '|', {id_})")


def expression(mode: str, rule: rules.Rule, column: Column) -> str:
    """Return what becomes of a column.

    :param mode: ``shift`` or ``year``.
    :param rule: its rule.
    :param column: the column of the silver table.
    """
    return _KINDS[rule.kind](mode, column.name, rule.of, column.type)


def _days() -> str:
    """Return by how many days a patient's dates are shifted: -182 to 182, never 0."""
    number = f"CAST(conv({mac(chr(39) + 'shift|' + chr(39) + ' || source_system || patient_id', 8)}, 16, 10) AS BIGINT)"
    raw = f"CAST(pmod({number}, {2 * _MOST_DAYS}) AS INT) - {_MOST_DAYS}"
    return f"({raw} + CASE WHEN {raw} >= 0 THEN 1 ELSE 0 END)"


def _shifted(column: str, type_: str) -> str:
    moved = f"date_add({column}, {_days()})" if type_ == "date" else f"timestampadd(DAY, {_days()}, {column})"
    return f"CASE WHEN {_SHIFTABLE.format(column)} THEN {moved} END"


def _drop(_mode: str, _column: str, _of: str, type_: str) -> str:
    return f"CAST(NULL AS {type_.replace(':', ': ')})"


def _id(_mode: str, column: str, of: str, _type: str) -> str:
    return hashed_id(f"'{of}'", column)


def _reference(_mode: str, column: str, _of: str, _type: str) -> str:
    hashed = hashed_id(f"{column}.type", f"{column}.id")
    kind = f"CASE WHEN {column}.type RLIKE '^[A-Za-z]{{1,64}}$' THEN {column}.type END"
    return (
        f"CASE WHEN {column} IS NOT NULL THEN named_struct('kind', {column}.kind, 'type', {kind}, 'id',"
        f" CASE WHEN {names_a_resource(column)} THEN {hashed} END,"
        " 'base', CAST(NULL AS STRING), 'version', CAST(NULL AS STRING)) END"
    )


def _codings(_mode: str, column: str, _of: str, _type: str) -> str:
    code = f"CASE WHEN c.system IS NOT NULL AND c.code RLIKE '{_CODE}' THEN c.code END"
    system = f"CASE WHEN c.system RLIKE '{_CODE}' THEN c.system END"
    return (
        f"transform({column}, c -> named_struct('system', {system}, 'code', {code}, 'display', CAST(NULL AS STRING)))"
    )


def _code(_mode: str, column: str, of: str, _type: str) -> str:
    # Without a system it may be words; it is part of keys, so words become a hash rather than nothing.
    hashed = mac(f"concat('code|', {column})")
    return f"CASE WHEN {of} IS NOT NULL AND {column} RLIKE '{_CODE}' THEN {column} ELSE {hashed} END"


def _token(_mode: str, column: str, _of: str, _type: str) -> str:
    return f"CASE WHEN {column} RLIKE '{_CODE}' THEN {column} END"


def _number(_mode: str, column: str, of: str, _type: str) -> str:
    return f"CASE WHEN {of} IN ('Quantity', 'integer', 'boolean') AND {column} RLIKE '{_CODE}' THEN {column} END"


def _time(mode: str, column: str, _of: str, type_: str) -> str:
    return f"CAST(NULL AS {type_})" if mode == YEAR else _shifted(column, type_)


def _grain_time(mode: str, column: str, _of: str, type_: str) -> str:
    if mode != YEAR:
        return _shifted(column, type_)
    # A key needs an instant, one for each true one. It is made up, within the true year, and in no true order.
    message = f"'instant|' || source_system || patient_id || '|' || unix_micros({column})"
    micros = f"pmod(CAST(conv({mac(message, 13)}, 16, 10) AS BIGINT), {_SECONDS_OF_A_YEAR * 1_000_000})"
    start = f"CAST({_first_day(column)} AS TIMESTAMP)"
    return _of_somebody(f"timestampadd(MICROSECOND, {micros}, {start})")


def _year_text(mode: str, column: str, _of: str, _type: str) -> str:
    year = f"CASE WHEN {column} RLIKE '^[0-9]{{4}}(?:-|$)' THEN left({column}, 4) END"
    return year if mode == YEAR else "CAST(NULL AS STRING)"


def _precision(mode: str, column: str, _of: str, _type: str) -> str:
    known = f"CASE WHEN {column} IS NOT NULL THEN 'year' END"
    return known if mode == YEAR else f"CASE WHEN {column} IN {_EXACT} THEN {column} ELSE {known} END"


def _first(mode: str, column: str, of: str, type_: str) -> str:
    return _of_somebody(_bound(mode, column, of, type_, _first_day(column)))


def _last(mode: str, column: str, of: str, type_: str) -> str:
    end = f"timestampadd(MICROSECOND, -1, timestampadd(DAY, 1, CAST({_last_day(column)} AS TIMESTAMP)))"
    return _of_somebody(_bound(mode, column, of, type_, end))


def _bound(mode: str, column: str, precision: str, type_: str, year: str) -> str:
    # The bounds of a month or year that were shifted would tell by how much: the first of January is known.
    of_year = f"CAST({year} AS {type_})"
    return (
        of_year
        if mode == YEAR
        else f"CASE WHEN {precision} IN {_EXACT} THEN {_shifted(column, type_)} ELSE {of_year} END"
    )


def _of_somebody(value: str) -> str:
    return f"CASE WHEN patient_id IS NOT NULL THEN {value} END"


def _first_day(column: str) -> str:
    return f"make_date(year({column}), 1, 1)"


def _last_day(column: str) -> str:
    return f"make_date(year({column}), 12, 31)"


def _birth(mode: str, column: str, of: str, type_: str) -> str:
    return _if_young(column, _time(mode, column, of, type_))


def _birth_text(mode: str, column: str, of: str, type_: str) -> str:
    return _if_young(of, _year_text(mode, column, of, type_))


def _birth_first(mode: str, column: str, of: str, type_: str) -> str:
    return _if_young(column, _bound(mode, column, of, type_, _first_day(column)))


def _birth_last(mode: str, column: str, of: str, type_: str) -> str:
    youngest = f"make_date(year(ingested_at) - {rules.OLDEST_AGE} - 1, 12, 31)"
    return _if_young(column, _bound(mode, column, of, type_, _last_day(column)), youngest)


def _if_young(birth: str, value: str, otherwise: str = "NULL") -> str:
    """Return a value unless a birth date tells an age over 89, reckoned to the year the row was first loaded in."""
    is_old = f"coalesce(year({birth}) < year(ingested_at) - {rules.OLDEST_AGE}, false)"
    return f"CASE WHEN {is_old} THEN {otherwise} ELSE {value} END"


def _zip(_mode: str, column: str, _of: str, _type: str) -> str:
    small = ", ".join(f"'{code}'" for code in rules.SMALL_ZIPS)
    three = f"CASE WHEN left({column}, 3) IN ({small}) THEN '000' ELSE left({column}, 3) END"
    return f"CASE WHEN {column} RLIKE '^[0-9]{{5}}(?:-?[0-9]{{4}})?$' THEN {three} END"


_KINDS: Final[dict[str, Callable[[str, str, str, str], str]]] = {
    "drop": _drop,
    "id": _id,
    "reference": _reference,
    "codings": _codings,
    "code": _code,
    "token": _token,
    "number": _number,
    "time": _time,
    "grain_time": _grain_time,
    "year_text": _year_text,
    "precision": _precision,
    "first": _first,
    "last": _last,
    "birth": _birth,
    "birth_text": _birth_text,
    "birth_first": _birth_first,
    "birth_last": _birth_last,
    "zip": _zip,
}
