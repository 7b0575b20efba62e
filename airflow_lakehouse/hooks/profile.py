"""What the ``lakehouse`` connection says, as a profile."""

from __future__ import annotations

import json
from typing import Any, Final

from airflow_lakehouse._compat import AirflowNotFoundException, BaseHook
from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.profile import Profile

CONN_TYPE: Final = "lakehouse"
DEFAULT_CONN_ID: Final = "lakehouse"
AWS_FIELD = "aws_conn_id"
"""Field of the extra that is Airflow's own: jobs get their AWS credentials where they run."""
_OBJECTS: Final = {
    "catalog_properties": '{"s3.endpoint": "https://..."}',
    "textract_options": '{"features": ["TABLES"]}',
    "runner_options": '{"application_id": "00f1..."}',
}
"""Fields that are objects, with an example of each; the form of the connection gives them as text."""


def read_profile(conn_id: str = DEFAULT_CONN_ID) -> Profile:
    """Return what a connection says.

    :param conn_id: id of the connection.
    :raises ConfigurationError: when there is no such connection, or a field is unknown, missing or not legal.
    """
    try:
        extra = dict(BaseHook.get_connection(conn_id).extra_dejson)
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"there is no connection {conn_id!r}",
            remedy=f"airflow connections add {conn_id} --conn-type lakehouse "
            """--conn-extra '{"warehouse": "...", "raw": "..."}'""",
        ) from error
    extra.pop(AWS_FIELD, None)
    try:
        return Profile.from_dict(_typed(extra))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"connection {conn_id!r}: {error.message}",
            legal=error.legal,
            remedy=error.remedy or "mend the connection's extra",
        ) from error


def _typed(extra: dict[str, Any]) -> dict[str, Any]:
    """Turn what the connection form gives as text into lists and objects."""
    parsers = extra.get("parsers")
    if isinstance(parsers, str):
        extra["parsers"] = [path.strip() for path in parsers.split(",") if path.strip()]
    for name, example in _OBJECTS.items():
        given = extra.get(name)
        if isinstance(given, str) and given.strip():
            try:
                extra[name] = json.loads(given)
            except ValueError as error:
                raise ConfigurationError(f"{name} is not a JSON object", legal=f"such as {example}") from error
    return extra
