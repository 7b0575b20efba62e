"""Patient to silver_dim_patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.transforms import fhir, references, times
from airflow_lakehouse.spark.transforms.columns import with_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition"
_EXTENSION: Final = (
    "STRUCT<url: STRING, valueCode: STRING, extension: ARRAY<STRUCT<url: STRING,"
    f" valueCoding: {fhir.CODING}, valueString: STRING>>>"
)
SCHEMA: Final = (
    "active BOOLEAN, gender STRING, birthDate STRING, deceasedBoolean BOOLEAN, deceasedDateTime STRING,"
    " name ARRAY<STRUCT<`use`: STRING, family: STRING, given: ARRAY<STRING>, text: STRING>>,"
    " address ARRAY<STRUCT<`use`: STRING, city: STRING, state: STRING, postalCode: STRING, country: STRING>>,"
    f" identifier ARRAY<STRUCT<`use`: STRING, system: STRING, value: STRING, type: {fhir.CONCEPT}>>,"
    f" extension ARRAY<{_EXTENSION}>, link ARRAY<STRUCT<type: STRING, other: {references.REFERENCE}>>,"
    f" {references.CONTAINED}"
)


def patients(rows: DataFrame) -> DataFrame:
    """Read patients.

    :param rows: rows of bronze_fhir_patient.
    :return: the same rows with the columns of silver_dim_patient added.
    """
    name = _preferred("r.name", "use", ("official", "usual"))
    address = _preferred("r.address", "use", ("home",))
    replaced = "try_element_at(filter(r.link, l -> l.type = 'replaced-by'), 1).other"
    columns = {
        "patient_id": "resource_id",
        "family": f"{name}.family",
        "given": f"{name}.given",
        "gender": "r.gender",
        "birth_date": times.day("r.birthDate"),
        "birth_date_text": "r.birthDate",
        "birth_date_precision": times.date_precision("r.birthDate"),
        "birth_date_low": times.first_day("r.birthDate"),
        "birth_date_high": times.last_day("r.birthDate"),
        "deceased": "coalesce(r.deceasedBoolean, CASE WHEN r.deceasedDateTime IS NOT NULL THEN true END)",
        **times.time_columns("deceased_time", "deceased_time"),
        "race": _us_core("us-core-race"),
        "ethnicity": _us_core("us-core-ethnicity"),
        "birth_sex": f"try_element_at(filter(r.extension, e -> e.url = '{_US_CORE}/us-core-birthsex'), 1).valueCode",
        "mrn": _record_number(),
        "city": f"{address}.city",
        "state": f"{address}.state",
        "postal_code": f"{address}.postalCode",
        "country": f"{address}.country",
        "active": "r.active",
        "replaced_by": references.named_id("replacement", "Patient"),
    }
    flags = fhir.flags(
        (times.not_a_time("deceased_time"), times.BAD_TIME),
        (f"r.birthDate IS NOT NULL AND ({times.date_precision('r.birthDate')}) IS NULL", times.BAD_TIME),
        (references.is_bad("replacement"), references.BAD_REFERENCE),
    )
    read = times.with_times(fhir.read_body(rows, SCHEMA), {"deceased_time": "r.deceasedDateTime"})
    read = references.with_references(read, {"replacement": replaced})
    return with_columns(read, rows, columns, flags)


def _preferred(items: str, field: str, values: tuple[str, ...]) -> str:
    choices = [f"try_element_at(filter({items}, x -> x.`{field}` = '{value}'), 1)" for value in values]
    return f"coalesce({', '.join([*choices, f'try_element_at({items}, 1)'])})"


def _us_core(name: str) -> str:
    inner = f"flatten(transform(filter(r.extension, e -> e.url = '{_US_CORE}/{name}'), e -> e.extension))"
    codes = [
        f"coalesce(transform(filter({inner}, x -> x.url = '{kind}'), x -> x.valueCoding.code), array())"
        for kind in ("ombCategory", "detailed")
    ]
    return f"array_compact(concat({', '.join(codes)}))"


def _record_number() -> str:
    typed = "try_element_at(filter(r.identifier, i -> exists(i.type.coding, c -> c.code = 'MR')), 1).value"
    used = "try_element_at(filter(r.identifier, i -> i.`use` IN ('usual', 'official')), 1).value"
    return f"coalesce({typed}, {used})"
