"""A few hand-made rows of silver and of the page ledger, written with real Spark from the table definitions."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.tables import by_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import SparkSession

    from airflow_lakehouse.tables import Table

_UTC = dt.UTC
_LOADED = dt.datetime(2024, 5, 1, 12, 0, tzinfo=_UTC)
_DEFAULTS: dict[str, Any] = {
    "string": "x",
    "long": 1,
    "int": 1,
    "boolean": False,
    "double": 1.0,
    "timestamp": _LOADED,
    "date": dt.date(2024, 5, 1),
}


def write_rows(spark: SparkSession) -> None:
    """Fill the tables gold reads; they exist already, empty.

    :param spark: a session on the warehouse.
    """
    for name, rows in _rows().items():
        append(spark, name, rows)


def append(spark: SparkSession, name: str, rows: Iterable[dict[str, Any]]) -> None:
    """Append rows to a table; required columns that a row leaves out get a default.

    :param spark: a session on the warehouse.
    :param name: name of the table.
    :param rows: values by column.
    """
    table = by_name(name)
    schema = spark.table(table.identifier).schema
    values = [tuple(_value(table, column, row) for column in table.column_names) for row in rows]
    spark.createDataFrame(values, schema).writeTo(table.identifier).append()


def _value(table: Table, name: str, row: dict[str, Any]) -> Any:
    column = table.column(name)
    default = _DEFAULTS.get(column.type) if column.required else None
    if name == "source_system":
        default = "default"
    return row.get(name, default)


def encounter(number: int, patient: str, code: str, start: str, hours: float | None, **more: Any) -> dict[str, Any]:
    """Return a row of ``silver_fct_encounter``.

    :param number: number of the encounter.
    :param patient: patient id.
    :param code: class code.
    :param start: ISO time.
    :param hours: length; None while it is open.
    :param more: further columns.
    """
    began = dt.datetime.fromisoformat(start).replace(tzinfo=_UTC)
    return {
        "encounter_id": f"e{number}",
        "patient_id": patient,
        "status": "finished",
        "class_code": code,
        "period_start": began,
        "period_start_text": start,
        "period_end": None if hours is None else began + dt.timedelta(hours=hours),
        "length_of_stay_hours": hours,
        **more,
    }


def patient(name: str, gender: str | None, born: dt.date | None, **more: Any) -> dict[str, Any]:
    """Return a row of ``silver_dim_patient``.

    :param name: patient id.
    :param gender: administrative gender.
    :param born: birth date.
    :param more: further columns.
    """
    return {
        "patient_id": name,
        "gender": gender,
        "birth_date": born,
        "birth_date_low": born,
        "birth_date_high": born,
        **more,
    }


def page(document: str, number: int, of: int, status: str) -> dict[str, Any]:
    """Return a row of ``bronze_docs_pages``.

    :param document: document id.
    :param number: page.
    :param of: pages of the document.
    :param status: ``ok``, ``blank`` or ``failed``.
    """
    return {
        "doc_id": document,
        "page": number,
        "pages_in_document": of,
        "status": status,
        "method": "ocr",
        "source_uri": f"{document}.pdf",
    }


def _rows() -> dict[str, list[dict[str, Any]]]:
    year_only = {"birth_date_low": dt.date(1980, 1, 1), "birth_date_high": dt.date(1980, 12, 31)}
    block = {"engine": "rapidocr", "engine_version": "1", "page": 1, "doc_id": "d1"}
    return {
        "silver_dim_patient": [
            patient("p1", "female", dt.date(1970, 6, 15)),
            patient("p2", "male", None, **year_only),
            patient("p3", None, dt.date(1930, 1, 1), deceased_time=dt.datetime(2020, 1, 1, tzinfo=_UTC)),
            patient("p1-old", "female", dt.date(1970, 6, 15), replaced_by="p1"),
        ],
        "silver_fct_encounter": [
            encounter(1, "p1", "IMP", "2023-01-01T08:00:00", 48.0),
            encounter(2, "p1", "IMP", "2023-01-20T08:00:00", 24.0),
            encounter(3, "p1", "AMB", "2023-06-15T08:00:00", 0.5),
            encounter(4, "p2", "EMER", "2023-02-01T08:00:00", None),
            encounter(5, "p2", "AMB", "2023-02-02T08:00:00", 1.0, status="cancelled"),
            encounter(6, "stranger", "VR", "2023-03-01T08:00:00", 1.0),
        ],
        "silver_fct_condition": [
            {
                "condition_id": f"c{number}",
                "patient_id": who,
                "code": "38341003",
                "code_system": "http://snomed.info/sct",
                "code_text": "Hypertension",
                "clinical_status": status,
            }
            for number, (who, status) in enumerate((("p1", "active"), ("p1-old", "resolved"), ("p2", "resolved")))
        ],
        "bronze_docs_pages": [page("d1", 1, 2, "ok"), page("d1", 2, 2, "blank"), page("d2", 1, 1, "failed")],
        "silver_fct_doc_blocks": [
            {**block, "block_id": "b1", "block_type": "LINE", "confidence": 95.0},
            {**block, "block_id": "b2", "block_type": "WORD", "confidence": 95.0},
            {**block, "block_id": "b3", "block_type": "WORD", "confidence": 71.0},
        ],
        "silver_fct_observation": [
            {"observation_id": "o1", "patient_id": "p1", "value_number": Decimal("1.5"), "obs_code": "8867-4"}
        ],
    }
