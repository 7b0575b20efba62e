"""De-identification between bronze and silver: ids to keyed hashes, dates to years or shifted, the rest by allow list.

Ids of rows are hashed where bronze is read, so that everything that compares silver with bronze compares hashes; the
other columns when a silver row is made. The rules are in :mod:`airflow_lakehouse.tables.privacy`. The key is in no
plan, log or argument: it comes from the environment or a file, and reaches Spark as the one row of a table.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.profile import KEY_VARIABLE
from airflow_lakehouse.spark.silver.privacy_rules import expression, hashed_id
from airflow_lakehouse.spark.storage import files
from airflow_lakehouse.tables import privacy as rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame

    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.tables import Table

MIN_KEY_BYTES: Final = 32
_BLOCK: Final = 64
_VERSION: Final = "1"
"""Changes when the same input and key give other output, so that silver is made anew."""
_PADS: Final = ("_inner", "_outer")


@dataclass(frozen=True)
class Privacy:
    """How silver is de-identified.

    :param mode: ``shift`` or ``year``.
    :param key: of the hashes; whoever has it can find a known person.
    """

    mode: str
    key: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """What stands for mode and key in a watermark: another one, and silver is made anew."""
        return hmac.new(self.key, f"watermark|{self.mode}|{_VERSION}".encode(), hashlib.sha256).hexdigest()[:16]

    def hide_ids(self, rows: DataFrame) -> DataFrame:
        """Hash the ids of bronze rows.

        :param rows: rows of a bronze table; one without ``resource_id`` is returned as it is.
        """
        if "resource_id" not in rows.columns:
            return rows
        return self._with(rows, {"resource_id": hashed_id("resource_type", "resource_id")})

    def apply(self, table: Table, rows: DataFrame, columns: Iterable[str]) -> DataFrame:
        """Apply the rules of some columns.

        :param table: the silver table the rows are for.
        :param rows: rows with these columns, ``source_system``, ``patient_id`` and ``ingested_at``.
        :param columns: which; others are left as they are.
        """
        ids: dict[str, str] = {}
        others: dict[str, str] = {}
        for name in columns:
            rule = rules.rule(table, name)
            if name in rows.columns and rule != rules.KEEP:
                changed = ids if rule.kind in rules.ID_KINDS else others
                changed[name] = expression(self.mode, rule, table.column(name))
        # Ids first: what is shifted follows from the patient's hash, not from the patient's id.
        return self._with(self._with(rows, ids), others)

    def _with(self, rows: DataFrame, changed: dict[str, str]) -> DataFrame:
        from pyspark.sql import functions as F

        if not changed:
            return rows
        padded = self.key if len(self.key) <= _BLOCK else hashlib.sha256(self.key).digest()
        padded = padded.ljust(_BLOCK, b"\0")
        pads = tuple(bytearray(byte ^ mask for byte in padded) for mask in (0x36, 0x5C))
        # A row, not a literal: literals are printed with plans, and plans with errors.
        key = rows.sparkSession.createDataFrame([pads], ", ".join(f"{name} BINARY" for name in _PADS))
        names = [f"{changed[name]} AS `{name}`" if name in changed else f"`{name}`" for name in rows.columns]
        return rows.crossJoin(F.broadcast(key)).selectExpr(*names)


def of(profile: Profile) -> Privacy | None:
    """Return how a profile de-identifies silver; None where it does not.

    :param profile: the lakehouse.
    :raises ConfigurationError: when there is no key, or it is too short.
    """
    if not profile.deidentify:
        return None
    where = profile.deidentify_key or f"the environment variable {KEY_VARIABLE}"
    remedy = f"put at least {MIN_KEY_BYTES} random bytes there, such as the output of `openssl rand -hex 32`"
    key = _read(profile.deidentify_key) if profile.deidentify_key else os.environ.get(KEY_VARIABLE, "").encode()
    key = key.strip()
    if len(key) < MIN_KEY_BYTES:
        raise ConfigurationError(
            f"deidentify={profile.deidentify!r} has a key of {len(key)} bytes in {where}", remedy=remedy
        )
    return Privacy(profile.deidentify, key)


def _read(uri: str) -> bytes:
    try:
        with files.open_raw(uri) as stream:
            return stream.read()
    except FileNotFoundError:
        raise ConfigurationError(
            f"the key file {uri} does not exist", remedy="write it, or name another in deidentify_key"
        ) from None
